package worker

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
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
	// Replayed is a dead letter that is replayed.
	Replayed(e event.Event)
	// Attempted is an attempt at a route, whatever came of it.
	Attempted(a Attempt)
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
		if next.WorkflowType.Name == event.ProcessEvent {
			i.to.Replayed(e)
		}
	case dead:
		// A run that only stands in another's place is no event that died, and a
		// reset that came too late ends without an error.
		if err != nil && letter.Instead == nil {
			i.to.Died(e, letter)
		}
	case err == nil:
		// The clock on the wall: the time of the workflow stands still within a
		// task, and the first attempt is made in one. It goes to the observer
		// alone, never into the run, and a replay does not come here.
		i.to.Handled(e, time.Since(e.Received)) //workflowcheck:ignore
	}
}

// Attempt is one attempt at a route.
type Attempt struct {
	Event event.Event
	// Route is the handler's or the destination's name.
	Route string
	// Number counts the attempts at the route of this event, from 1 on.
	Number int
	// Result is done, failed, permanent, timeout, panic or deferred.
	Result string
	// Err is what it failed with; nil when it did not.
	Err  error
	Took time.Duration
}

// The results of an attempt.
const (
	Done      = "done"
	Failed    = "failed"
	Permanent = "permanent"
	Timeout   = "timeout"
	Panicked  = "panic"
	Deferred  = "deferred"
)

func (i *observing) InterceptActivity(
	_ context.Context, next interceptor.ActivityInboundInterceptor,
) interceptor.ActivityInboundInterceptor {
	inbound := &attempting{to: i.to}
	inbound.Next = next
	return inbound
}

type attempting struct {
	interceptor.ActivityInboundInterceptorBase
	to Observer
}

func (i *attempting) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	task, ok := taskOf(in)
	if !ok {
		return i.Next.ExecuteActivity(ctx, in)
	}
	number, began := task.Before+int(activity.GetInfo(ctx).Attempt), time.Now()
	out, err := i.Next.ExecuteActivity(ctx, in)
	i.to.Attempted(Attempt{
		Event: task.Event, Route: task.Route.Name, Number: number, Result: resultOf(err), Err: err, Took: time.Since(began),
	})
	return out, err
}

// taskOf tells the activities that are attempts at a route from the others.
func taskOf(in *interceptor.ExecuteActivityInput) (event.Task, bool) {
	if len(in.Args) == 0 {
		return event.Task{}, false
	}
	task, ok := in.Args[0].(event.Task)
	return task, ok
}

func resultOf(err error) string {
	var app *temporal.ApplicationError
	switch {
	case err == nil:
		return Done
	case !errors.As(err, &app):
		return Failed
	case app.Type() == event.FailurePanic:
		return Panicked
	case app.Type() == event.FailureTimeout:
		return Timeout
	case app.Type() == event.FailureDeferred:
		return Deferred
	case app.NonRetryable():
		return Permanent
	default:
		return Failed
	}
}
