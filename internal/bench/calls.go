package bench

import (
	"context"
	"sync/atomic"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
)

// Calls counts the calls to the engine that carry an event: a poll when it brings
// a task, every start and every answer to a task. Heartbeats, lookups and polls
// that bring nothing are left out.
type Calls struct{ n atomic.Int64 }

// Count is the number so far.
func (c *Calls) Count() int64 { return c.n.Load() }

// Option makes a client count.
func (c *Calls) Option() grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(
		ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, o ...grpc.CallOption,
	) error {
		err := next(ctx, method, req, reply, conn, o...)
		if err == nil && carriesEvent(req, reply) {
			c.n.Add(1)
		}
		return err
	})
}

func carriesEvent(req, reply any) bool {
	switch r := reply.(type) {
	case *workflowservice.PollWorkflowTaskQueueResponse:
		return len(r.GetTaskToken()) > 0
	case *workflowservice.PollActivityTaskQueueResponse:
		return len(r.GetTaskToken()) > 0
	}
	switch req.(type) {
	case *workflowservice.StartWorkflowExecutionRequest,
		*workflowservice.RespondWorkflowTaskCompletedRequest, *workflowservice.RespondWorkflowTaskFailedRequest,
		*workflowservice.RespondActivityTaskCompletedRequest, *workflowservice.RespondActivityTaskFailedRequest:
		return true
	}
	return false
}
