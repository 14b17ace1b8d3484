package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

const profiles = `
[profile.default]
address = "file.example:7233"
namespace = "from-file"

[profile.cloud]
address = "cloud.example:7233"
namespace = "orders.a1b2c"
api_key = "very-secret"
`

func TestResolveFindsTemporal(t *testing.T) {
	file := write(t, "temporal.toml", profiles)
	t.Setenv("XDG_CONFIG_HOME", userFile(t)) // This file must not be read, because no variable asks for it.
	for _, c := range []struct {
		name string
		env  []string
		want engine.Settings
	}{
		{"nothing set means the embedded engine", nil, engine.Settings{Namespace: "default"}},
		{"an empty address means the embedded engine", []string{"TEMPORAL_ADDRESS="}, engine.Settings{Namespace: "default"}},
		{"a namespace alone is that of the embedded engine", []string{"TEMPORAL_NAMESPACE=events"}, engine.Settings{Namespace: "events"}},
		{"an address by environment", []string{"TEMPORAL_ADDRESS=temporal:7233"}, engine.Settings{Address: "temporal:7233", Namespace: "default"}},
		{"a gRPC target", []string{"TEMPORAL_ADDRESS=dns:///temporal:7233"}, engine.Settings{Address: "dns:///temporal:7233", Namespace: "default"}},
		{"an address of IPv6", []string{"TEMPORAL_ADDRESS=[::1]:7233"}, engine.Settings{Address: "[::1]:7233", Namespace: "default"}},
		{"a key brings TLS with it", []string{"TEMPORAL_ADDRESS=t:7233", "TEMPORAL_API_KEY=k"}, engine.Settings{Address: "t:7233", Namespace: "default", TLS: true, APIKey: true}},
		{"TLS by itself", []string{"TEMPORAL_ADDRESS=t:7233", "TEMPORAL_TLS=true"}, engine.Settings{Address: "t:7233", Namespace: "default", TLS: true}},
		{"TLS switched off needs no address", []string{"TEMPORAL_TLS=false"}, engine.Settings{Namespace: "default"}},
		{"the file that is named", []string{"TEMPORAL_CONFIG_FILE=" + file}, engine.Settings{Address: "file.example:7233", Namespace: "from-file"}},
		{"a profile of it", []string{"TEMPORAL_CONFIG_FILE=" + file, "TEMPORAL_PROFILE=cloud"}, engine.Settings{Address: "cloud.example:7233", Namespace: "orders.a1b2c", TLS: true, APIKey: true}},
		{"the environment goes before the file", []string{"TEMPORAL_CONFIG_FILE=" + file, "TEMPORAL_ADDRESS=t:1"}, engine.Settings{Address: "t:1", Namespace: "from-file"}},
		{"the last value of a name counts", []string{"TEMPORAL_ADDRESS=a:1", "TEMPORAL_ADDRESS=b:2"}, engine.Settings{Address: "b:2", Namespace: "default"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := engine.Resolve(c.env)
			require.NoError(t, err)
			require.Equal(t, c.want.Address, got.Address)
			require.Equal(t, c.want.Namespace, got.Namespace)
			require.Equal(t, c.want.TLS, got.TLS)
			require.Equal(t, c.want.APIKey, got.APIKey)
			require.Equal(t, c.want.Address != "", got.Configured())
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", got, got, &got), "very-secret")
		})
	}
}

func TestResolveNamesTheVariableAtFault(t *testing.T) {
	file := write(t, "temporal.toml", profiles)
	junk := write(t, "junk.pem", "no certificate")
	address := "TEMPORAL_ADDRESS=t:7233"
	for _, c := range []struct {
		name string
		env  []string
		say  string
	}{
		{"a key without an address", []string{"TEMPORAL_API_KEY=very-secret"}, "TEMPORAL_API_KEY is set but TEMPORAL_ADDRESS is not"},
		{"TLS without an address", []string{"TEMPORAL_TLS=1"}, "TEMPORAL_ADDRESS is not"},
		{"a server name without an address", []string{"TEMPORAL_TLS_SERVER_NAME=x"}, "TEMPORAL_ADDRESS is not"},
		{"a web address", []string{"TEMPORAL_ADDRESS=https://cloud.temporal.io"}, "TEMPORAL_ADDRESS"},
		{"an address without a port", []string{"TEMPORAL_ADDRESS=temporal"}, "TEMPORAL_ADDRESS"},
		{"an address without a host", []string{"TEMPORAL_ADDRESS=:7233"}, "TEMPORAL_ADDRESS"},
		{"a port that is none", []string{"TEMPORAL_ADDRESS=t:99999"}, "TEMPORAL_ADDRESS"},
		{"a switch that is neither on nor off", []string{address, "TEMPORAL_TLS=yes"}, "TEMPORAL_TLS is \"yes\""},
		{"another switch", []string{address, "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION=maybe"}, "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION"},
		{"a file that is not there", []string{"TEMPORAL_CONFIG_FILE=/no/such.toml"}, "TEMPORAL_CONFIG_FILE"},
		{"a file that is no TOML", []string{"TEMPORAL_CONFIG_FILE=" + junk}, "TEMPORAL_CONFIG_FILE"},
		{"a profile that is not there", []string{"TEMPORAL_CONFIG_FILE=" + file, "TEMPORAL_PROFILE=moon"}, "TEMPORAL_PROFILE"},
		{"a certificate without its key", []string{address, "TEMPORAL_TLS_CLIENT_CERT_PATH=" + junk}, "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH"},
		{"a certificate that is none", []string{address, "TEMPORAL_TLS_CLIENT_CERT_PATH=" + junk, "TEMPORAL_TLS_CLIENT_KEY_PATH=" + junk}, "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH"},
		{"certificate data that is none", []string{address, "TEMPORAL_TLS_CLIENT_CERT_DATA=x", "TEMPORAL_TLS_CLIENT_KEY_DATA=very-secret"}, "TEMPORAL_TLS_CLIENT_CERT_DATA and TEMPORAL_TLS_CLIENT_KEY_DATA"},
		{"data and path at once", []string{address, "TEMPORAL_TLS_CLIENT_CERT_DATA=x", "TEMPORAL_TLS_CLIENT_KEY_DATA=y", "TEMPORAL_TLS_CLIENT_CERT_PATH=z"}, "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_CERT_DATA"},
		{"an authority that is not there", []string{address, "TEMPORAL_TLS_SERVER_CA_CERT_PATH=/no/ca.pem"}, "TEMPORAL_TLS_SERVER_CA_CERT_PATH"},
		{"an authority that is none", []string{address, "TEMPORAL_TLS_SERVER_CA_CERT_PATH=" + junk}, "TEMPORAL_TLS_SERVER_CA_CERT_PATH"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := engine.Resolve(c.env)
			require.ErrorContains(t, err, c.say)
			require.NotContains(t, err.Error(), "very-secret")
		})
	}
}

func TestFindBinary(t *testing.T) {
	there := filepath.Join(t.TempDir(), "temporal")
	require.NoError(t, os.WriteFile(there, nil, 0o700))
	plain := write(t, "temporal", "")
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		name     string
		explicit string
		env      []string
		want     string
	}{
		{"the explicit one goes first", there, []string{"TEMPORAL_CLI=/no/temporal"}, there},
		{"TEMPORAL_CLI goes next", "", []string{"TEMPORAL_CLI=" + there, "PATH=/nowhere"}, there},
		{"PATH goes last", "", []string{"PATH=/nowhere:" + filepath.Dir(there)}, there},
		{"an explicit one that is not there is not passed over", "/no/temporal", []string{"PATH=" + filepath.Dir(there)}, ""},
		{"TEMPORAL_CLI that cannot be executed is not passed over", "", []string{"TEMPORAL_CLI=" + plain, "PATH=" + filepath.Dir(there)}, ""},
		{"a directory is no binary", filepath.Dir(there), nil, ""},
		{"one in PATH that cannot be executed is none", "", []string{"PATH=" + filepath.Dir(plain)}, ""},
		{"nowhere", "", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := engine.FindBinary(c.explicit, c.env)
			if c.want == "" {
				require.ErrorIs(t, err, engine.ErrNoBinary)
				require.ErrorContains(t, err, "make build")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	t.Run("bin/temporal in the working directory goes before PATH", func(t *testing.T) {
		require.NoError(t, os.Mkdir("bin", 0o700))
		require.NoError(t, os.WriteFile("bin/temporal", nil, 0o700))
		got, err := engine.FindBinary("", []string{"PATH=" + filepath.Dir(there)})
		require.NoError(t, err)
		want, err := filepath.Abs("bin/temporal")
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// userFile makes a user's configuration file of the Temporal CLI, in a directory of its own.
func userFile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "temporalio"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "temporalio", "temporal.toml"), []byte(profiles), 0o600))
	return dir
}

func TestAClientIsMadeWhileTemporalIsAwayAndFindsItLater(t *testing.T) {
	server := enginetest.Shared(t)
	door, err := new(net.ListenConfig).Listen(within(t), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := door.Addr().String()
	require.NoError(t, door.Close())

	c := dial(t, engine.Settings{Address: address, Namespace: server.Namespace})
	require.ErrorIs(t, engine.Ready(within(t), c, server.Namespace), engine.ErrUnreachable)

	door, err = new(net.ListenConfig).Listen(within(t), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = door.Close() })
	go forward(door, server.Address)
	_, err = engine.Setup(within(t), c, engine.SetupOptions{Namespace: server.Namespace})
	require.NoError(t, err, "setup waits for a Temporal that comes back")
	require.NoError(t, engine.Ready(within(t), c, server.Namespace))
	startWorkflow(t, c, "later")
}

// forward forwards the connections of a listener to an address, until the listener is closed.
func forward(door net.Listener, address string) {
	for {
		in, err := door.Accept()
		if err != nil {
			return
		}
		out, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
		if err != nil {
			_ = in.Close()
			continue
		}
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
	}
}

func TestDialPassesOnWhatItIsGiven(t *testing.T) {
	server := enginetest.Shared(t)
	log, metrics, calls := &safeBuffer{}, &counting{MetricsHandler: client.MetricsNopHandler}, &atomic.Int64{}
	started := &starts{}
	c, err := engine.Dial(engine.Settings{Address: server.Address, Namespace: server.Namespace}, engine.DialOptions{
		Logger:       slog.New(slog.NewTextHandler(log, nil)),
		Metrics:      metrics,
		Interceptors: []interceptor.ClientInterceptor{started},
		GRPC: []grpc.DialOption{grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			calls.Add(1)
			return invoke(ctx, method, request, reply, cc, opts...)
		})},
	})
	require.NoError(t, err)
	defer c.Close()
	startWorkflow(t, c, "counted")
	w := worker.New(c, "dialled", worker.Options{})
	require.NoError(t, w.Start())
	w.Stop()
	require.Contains(t, log.String(), "Started Worker")
	require.Positive(t, metrics.asked.Load())
	require.Positive(t, calls.Load())
	require.Equal(t, int64(1), started.count.Load())
}

// safeBuffer is a buffer that many goroutines may write.
type safeBuffer struct {
	sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.Lock()
	defer b.Unlock()
	return b.text.String()
}

// counting counts how often the SDK asks for a counter.
type counting struct {
	client.MetricsHandler
	asked atomic.Int64
}

func (c *counting) WithTags(map[string]string) client.MetricsHandler { return c }

func (c *counting) Counter(name string) client.MetricsCounter {
	c.asked.Add(1)
	return c.MetricsHandler.Counter(name)
}

// starts counts the workflows that are started.
type starts struct {
	interceptor.ClientInterceptorBase
	count atomic.Int64
}

func (s *starts) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	return &startsOutbound{interceptor.ClientOutboundInterceptorBase{Next: next}, s}
}

type startsOutbound struct {
	interceptor.ClientOutboundInterceptorBase
	*starts
}

func (s *startsOutbound) ExecuteWorkflow(ctx context.Context, in *interceptor.ClientExecuteWorkflowInput) (client.WorkflowRun, error) {
	s.count.Add(1)
	return s.Next.ExecuteWorkflow(ctx, in)
}
