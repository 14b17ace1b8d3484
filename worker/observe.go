package worker

import (
	"errors"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// Observer hears how events end, once for each task that ends one; a task that
// is lost on its way to the engine is heard of again.
type Observer interface {
	// Handled is an event all of whose routes are done, and how long that took
	// since it was received.
	Handled(e event.Event, took time.Duration)
	// Died is an event that became a dead letter.
	Died(e event.Event, letter event.Letter)
	// Replayed is a dead letter that is played again.
	Replayed(e event.Event)
}

// observe makes an interceptor that tells the observer.
func observe(o Observer) interceptor.WorkerInterceptor {
	if o == nil {
		return &interceptor.WorkerInterceptorBase{}
	}
	return &observing{to: o}
}

type observing struct {
	interceptor.WorkerInterceptorBase
	to Observer
}

func (i *observing) InterceptWorkflow(
	_ workflow.Context, next interceptor.WorkflowInboundInterceptor,
) interceptor.WorkflowInboundInterceptor {
	inbound := &inbound{to: i.to}
	inbound.Next = next
	return inbound
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	to Observer
}

func (i *inbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	out, err := i.Next.ExecuteWorkflow(ctx, in)
	if !workflow.IsReplaying(ctx) && len(in.Args) > 2 {
		if e, ok := in.Args[0].(event.Event); ok {
			i.tell(ctx, e, in.Args[2], err)
		}
	}
	return out, err
}

func (i *inbound) tell(ctx workflow.Context, e event.Event, third any, err error) {
	var next *workflow.ContinueAsNewError
	goesOn := errors.As(err, &next)
	switch letter, dead := third.(event.Letter); {
	case dead && goesOn:
		i.to.Replayed(e)
	case dead:
		i.to.Died(e, letter)
	case err == nil:
		// The clock on the wall: the time of the workflow stands still within a
		// task, and the first attempt is made in one. It goes to the observer
		// alone, never into the run, and a replay does not come here.
		i.to.Handled(e, time.Since(e.Received)) //workflowcheck:ignore
	}
}
