package engine_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
	"github.com/grapnel/grapnel/internal/event"
)

// limit is far above what any of these tests needs. It only keeps a broken test from hanging.
const limit = 2 * time.Minute

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// options are the options of an engine on a fresh data directory.
func options(t *testing.T) engine.EmbeddedOptions {
	t.Helper()
	binary, err := enginetest.Binary()
	require.NoError(t, err, "run `make bin/temporal` at the module's root")
	return engine.EmbeddedOptions{
		DataDir:  t.TempDir(),
		Binary:   binary,
		AnyPorts: true,
		Logger:   slog.New(slog.NewTextHandler(t.Output(), nil)),
	}.Beside(true) // At low priority a busy machine would keep the tests waiting.
}

// start runs an engine and ends it with the test.
func start(t *testing.T, o engine.EmbeddedOptions) *engine.Embedded {
	t.Helper()
	e, err := engine.Start(within(t), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Kill()) })
	return e
}

func dial(t *testing.T, s engine.Settings) client.Client {
	t.Helper()
	c, err := engine.Dial(s, engine.DialOptions{})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// startWorkflow starts a workflow with all search attributes. No worker runs it.
func startWorkflow(t *testing.T, c client.Client, id string) {
	t.Helper()
	_, err := c.ExecuteWorkflow(within(t), client.StartWorkflowOptions{
		ID:        id,
		TaskQueue: "nobody",
		TypedSearchAttributes: temporal.NewSearchAttributes(
			temporal.NewSearchAttributeKeyKeyword(event.AttributeSource).ValueSet("zoom"),
			temporal.NewSearchAttributeKeyKeyword(event.AttributeType).ValueSet("meeting.started"),
			temporal.NewSearchAttributeKeyKeyword(event.AttributeSubject).ValueSet("weekly"),
			temporal.NewSearchAttributeKeyTime(event.AttributeTime).ValueSet(time.Unix(1700000000, 0)),
		),
	}, "Nothing")
	require.NoError(t, err)
}

func TestAnEngineKeepsItsStateOverARestart(t *testing.T) {
	o := options(t)
	o.Namespace = "events"
	first := start(t, o)
	c := dial(t, first.Settings())
	require.NoError(t, engine.Ready(within(t), c, "events"))
	startWorkflow(t, c, "kept")

	t.Run("the write-ahead log is on", func(t *testing.T) {
		require.FileExists(t, filepath.Join(o.DataDir, "engine.db-wal"))
	})
	t.Run("the database is its owner's alone", func(t *testing.T) {
		for _, name := range []string{"engine.db", "engine.db-wal", "engine.log", "engine.lock"} {
			info, err := os.Stat(filepath.Join(o.DataDir, name))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
		}
	})
	t.Run("every transaction is synced", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("the command line is read from /proc")
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", first.PID))
		require.NoError(t, err)
		require.Contains(t, string(line), "--sqlite-pragma\x00synchronous=full")
	})
	t.Run("the HTTP port answers nobody", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("the command line is read from /proc")
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", first.PID))
		require.NoError(t, err)
		_, port, found := strings.Cut(string(line), "--http-port\x00")
		require.True(t, found)
		port, _, _ = strings.Cut(port, "\x00")
		require.Equal(t, http.StatusForbidden, status(t, "http://127.0.0.1:"+port+"/api/v1/namespaces/events"))
		require.Equal(t, http.StatusForbidden, status(t, "http://localhost:"+port+"/api/v1/namespaces/events"))
	})
	t.Run("the web UI answers on loopback", func(t *testing.T) {
		require.True(t, strings.HasPrefix(first.UI, "http://127.0.0.1:"), first.UI)
		require.Equal(t, http.StatusOK, status(t, first.UI))
	})
	t.Run("the retention is thirty days", func(t *testing.T) {
		require.Equal(t, engine.DefaultRetention, retention(t, c, "events"))
	})

	require.NoError(t, first.Stop(within(t)))
	require.NoError(t, first.Stop(within(t)), "stopping twice is fine")
	died, ok := <-first.Done()
	require.False(t, ok, "a stop is no death: %v", died)

	second := start(t, o)
	require.Equal(t, first.Address, second.Address, "what was told of the address stays true")
	require.Equal(t, first.UI, second.UI)
	_, err := dial(t, second.Settings()).DescribeWorkflowExecution(within(t), "kept", "")
	require.NoError(t, err)
}

func TestAnEngineThatDiesSaysSoWithItsLog(t *testing.T) {
	e := start(t, options(t))
	require.NoError(t, syscall.Kill(e.PID, syscall.SIGKILL))
	err := <-e.Done()
	require.ErrorContains(t, err, "killed")
	require.ErrorContains(t, err, "engine.log")
	require.NoError(t, e.Stop(within(t)))
}

func TestAnEngineThatHasDiedIsStartedAgainWhereItWas(t *testing.T) {
	o := options(t)
	first := start(t, o)
	c := dial(t, first.Settings())
	startWorkflow(t, c, "kept")
	require.NoError(t, syscall.Kill(first.PID, syscall.SIGKILL))
	require.Error(t, <-first.Done())
	second, err := first.Restart(within(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = second.Kill() })
	require.Equal(t, []string{first.Address, first.UI}, []string{second.Address, second.UI})
	require.NotEqual(t, first.PID, second.PID)
	_, err = c.DescribeWorkflowExecution(within(t), "kept", "")
	require.NoError(t, err, "its clients need no other address")
	_, err = engine.Start(within(t), o)
	var busy *engine.BusyError
	require.ErrorAs(t, err, &busy, "the directory stayed its own")
	require.NoError(t, first.Stop(within(t)))
	require.NoError(t, syscall.Kill(second.PID, 0), "the first has nothing left to stop")

	t.Run("but not where somebody else is now", func(t *testing.T) {
		require.NoError(t, syscall.Kill(second.PID, syscall.SIGKILL))
		require.Error(t, <-second.Done())
		l, err := net.Listen("tcp", second.Address)
		require.NoError(t, err)
		_, err = second.Restart(within(t))
		require.ErrorContains(t, err, "address already in use")
		require.NoError(t, l.Close())
		start(t, o) // The directory is free.
	})
}

func TestAnEngineIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*engine.EmbeddedOptions)
		say    string
	}{
		{"without a data directory", func(o *engine.EmbeddedOptions) { o.DataDir = "" }, "GRAPNEL_DATA_DIR"},
		{"with a binary that is not there", func(o *engine.EmbeddedOptions) { o.Binary = "/no/temporal" }, "make build"},
		{"with a binary that ends at once", func(o *engine.EmbeddedOptions) { o.Binary = script(t, "echo no luck; exit 3") }, "no luck"},
		{"with a data directory that is a file", func(o *engine.EmbeddedOptions) { o.DataDir = script(t, "") }, "not a directory"},
		{"with a database of something else", func(o *engine.EmbeddedOptions) {
			require.NoError(t, os.WriteFile(filepath.Join(o.DataDir, "engine.db"), []byte("no SQLite at all"), 0o600))
		}, "not a database"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t)
			c.change(&o)
			_, err := engine.Start(within(t), o)
			require.ErrorContains(t, err, c.say)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}

func TestACancelledStartLeavesTheDirectoryFree(t *testing.T) {
	o := options(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := engine.Start(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	start(t, o)
}

func TestADatabaseWhoseMakingWasCutShortIsSetAside(t *testing.T) {
	o := options(t)
	for _, name := range []string{"engine.db", "engine.db.new"} {
		require.NoError(t, os.WriteFile(filepath.Join(o.DataDir, name), nil, 0o600))
	}
	start(t, o)
	aside, err := filepath.Glob(filepath.Join(o.DataDir, "engine.db.unfinished-*"))
	require.NoError(t, err)
	require.Len(t, aside, 1)
	require.NoFileExists(t, filepath.Join(o.DataDir, "engine.db.new"))
}

func TestALogWithoutItsDatabaseIsSetAside(t *testing.T) {
	o := options(t)
	require.NoError(t, os.WriteFile(filepath.Join(o.DataDir, "engine.db-wal"), []byte("of another"), 0o600))
	start(t, o)
	aside, err := filepath.Glob(filepath.Join(o.DataDir, "engine.db.unfinished-*-wal"))
	require.NoError(t, err)
	require.Len(t, aside, 1)
}

func TestAPathMayHoldWhatSQLiteReadsAsAURI(t *testing.T) {
	o := options(t)
	o.DataDir = filepath.Join(o.DataDir, "50%20 off? #1")
	start(t, o)
	require.FileExists(t, filepath.Join(o.DataDir, "engine.db"))
}

func TestAPortThatIsTaken(t *testing.T) {
	t.Run("before the start gives way to another", func(t *testing.T) {
		door, err := new(net.ListenConfig).Listen(within(t), "tcp", "127.0.0.1:7233")
		if err == nil { // On an error another process has the port, which does as well.
			defer func() { _ = door.Close() }()
		}
		o := options(t)
		o.AnyPorts, o.InMemory = false, true
		e := start(t, o)
		require.NotEqual(t, "127.0.0.1:7233", e.Address)
		require.NoError(t, engine.Ready(within(t), dial(t, e.Settings()), e.Namespace))
	})
	t.Run("while the engine starts gives way to another", func(t *testing.T) {
		o := options(t)
		o.InMemory = true
		o.Binary = script(t, `[ -e tried ] && exec `+o.Binary+` "$@"; : >tried
			echo "listen tcp 127.0.0.1:$RANDOM: bind: address already in use"; exit 1`)
		e := start(t, o)
		require.NoError(t, engine.Ready(within(t), dial(t, e.Settings()), e.Namespace))
	})
}

func TestTheWebUIKnowsWhereCompressedPayloadsAreRead(t *testing.T) {
	o := options(t)
	o.InMemory, o.CodecEndpoint = true, "http://127.0.0.1:9090/codec"
	e := start(t, o)
	request, err := http.NewRequestWithContext(within(t), http.MethodGet, e.UI+"/api/v1/settings", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	settings, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(settings), `"Endpoint":"http://127.0.0.1:9090/codec"`)
}

func TestAnEngineGetsNoSecretsByItsEnvironment(t *testing.T) {
	o := options(t)
	o.Environ = []string{"HOME=/h", "ZOOM_SECRET_TOKEN=very-secret", "TEMPORAL_NAMESPACE=other", "PATH=/usr/bin:/bin"}
	o.Binary = script(t, "env; exit 1")
	_, err := engine.Start(within(t), o)
	require.ErrorContains(t, err, "HOME=/h")
	require.NotContains(t, err.Error(), "very-secret")
	require.NotContains(t, err.Error(), "TEMPORAL_NAMESPACE")
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "temporal")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	return path
}

func status(t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(within(t), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func retention(t *testing.T, s engine.Services, namespace string) time.Duration {
	t.Helper()
	found, err := s.WorkflowService().DescribeNamespace(within(t), &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	require.NoError(t, err)
	return found.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
}

func TestRunningFindsTheEngineOfADirectoryWhileItLives(t *testing.T) {
	binary, err := enginetest.Binary()
	require.NoError(t, err)
	dir := t.TempDir()
	_, ok := engine.Running(t.Context(), dir, "default")
	require.False(t, ok, "nothing ever ran there")
	e, err := engine.Start(t.Context(), engine.EmbeddedOptions{DataDir: dir, Binary: binary, InMemory: true, AnyPorts: true})
	require.NoError(t, err)
	found, ok := engine.Running(t.Context(), dir, "default")
	require.True(t, ok)
	require.Equal(t, e.Settings(), found)
	require.NoError(t, e.Stop(context.Background()))
	_, ok = engine.Running(t.Context(), dir, "default")
	require.False(t, ok, "it has ended")
}

// If both look at the same moment, both find the usual ports free. Neither may then take the
// other's engine for its own.
func TestTwoEnginesThatStartAtTheSameMomentAreTwo(t *testing.T) {
	binary, err := enginetest.Binary()
	require.NoError(t, err)
	var running [2]*engine.Embedded
	var faults [2]error
	var wg sync.WaitGroup
	for i := range running {
		dir := t.TempDir()
		wg.Go(func() {
			running[i], faults[i] = engine.Start(context.Background(), engine.EmbeddedOptions{DataDir: dir, Binary: binary, InMemory: true})
		})
	}
	wg.Wait()
	for i, e := range running {
		require.NoError(t, faults[i])
		t.Cleanup(func() { require.NoError(t, e.Stop(context.Background())) })
	}
	require.NotEqual(t, running[0].Address, running[1].Address)
	for _, e := range running {
		select {
		case err := <-e.Done():
			t.Fatalf("an engine ended: %v", err)
		default:
		}
	}
}
