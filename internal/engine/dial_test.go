package engine_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
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

// forward passes what arrives at the door on to an address, until the door is
// closed.
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

// safeBuffer is a log that many goroutines write.
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
