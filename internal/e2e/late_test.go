package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
	"github.com/grapnel/grapnel/internal/spool"
)

// heldBack keeps the answers to starts from the client until free is closed.
func heldBack(free <-chan struct{}) grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(
		ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, o ...grpc.CallOption,
	) error {
		err := next(ctx, method, req, reply, conn, o...)
		if _, ok := req.(*workflowservice.StartWorkflowExecutionRequest); ok {
			select {
			case <-free:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return err
	})
}

// Temporal's answer brings the event's first task. Nobody but the call that
// asked for it gets that task; were the call given up with the ack budget,
// Temporal would wait for the task's time-out before it gave it to anybody else.
func TestAnEventWhoseStartIsLateIsHandledInItsFirstTask(t *testing.T) {
	t.Parallel()
	server, free := enginetest.Shared(t), make(chan struct{})
	c, err := engine.Dial(server.Engine.Settings(), engine.DialOptions{GRPC: []grpc.DialOption{heldBack(free)}})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	s := &system{Server: server, client: c, queue: t.Name(), secret: secret, answers: &answers{}}
	cfg := mustParse(t, yaml())
	cfg.Ack.Budget = 300 * time.Millisecond
	s.spool, err = spool.Open(spool.Options{Path: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.spool.Close()) })
	s.worker(t, cfg, tableOf(func(table *handler.Table) {
		handler.On(table, "zoom", "*", func(context.Context, handler.Event[any]) error { return nil })
	}))
	s.url = s.receiver(t, cfg)

	a := s.send(t, zoom(t, "meeting.started"))
	require.True(t, a.Queued)
	close(free)
	require.NoError(t, s.result(t, a.EventID), "though nothing drains the disk")
	for _, e := range s.history(t, a.EventID, "") {
		require.NotEqual(t, enums.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT, e.GetEventType())
	}
}
