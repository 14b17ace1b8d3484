package worker

import (
	"context"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// Observer hears how events end, once for each task that ends one; a task that
// is lost on its way to Temporal is heard of again.
type Observer interface {
	// Handled is an event with which nothing is left to do.
	Handled(e event.Event, end End)
	// Died is an event that became a dead letter.
	Died(e event.Event, letter event.Letter)
	// Replayed is a dead letter that is replayed.
	Replayed(e event.Event)
	// Attempted is an attempt at a route, whatever came of it.
	Attempted(a Attempt)
}

// End is how an event was handled.
type End struct {
	// Took is the time since it was received, or since it was replayed: the time as a
	// dead letter is none of processing.
	Took time.Duration
	// Replayed is set where it was a dead letter before.
	Replayed bool
	// Ignored is set where no route takes it and its source says to ignore that.
	Ignored bool
}

// observe makes an interceptor that tells the observer.
func observe(o Observer) interceptor.WorkerInterceptor {
	if o == nil {
		return &interceptor.WorkerInterceptorBase{}
	}
	return &observing{to: o, ignored: newIgnored()}
}

type observing struct {
	interceptor.WorkerInterceptorBase
	to      Observer
	ignored *lru.Cache[string, struct{}]
}

// newIgnored makes the memory of events whose plan says to ignore them, from the plan to
// the end of the same task.
func newIgnored() *lru.Cache[string, struct{}] {
	ignored, _ := lru.New[string, struct{}](1 << 12) // It fails for no size but 0.
	return ignored
}

func (i *observing) InterceptWorkflow(
	_ workflow.Context, next interceptor.WorkflowInboundInterceptor,
) interceptor.WorkflowInboundInterceptor {
	inbound := &inbound{observing: i}
	inbound.Next = next
	return inbound
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	*observing
}

func (i *inbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	out, err := i.Next.ExecuteWorkflow(ctx, in)
	if !workflow.IsReplaying(ctx) {
		i.tell(ctx, in.Args, err)
	}
	return out, err
}

// tell tells how a run has ended. What it is about is told from its arguments by their
// types.
func (i *inbound) tell(ctx workflow.Context, args []any, err error) {
	var e *event.Event
	var past *event.Past
	var letter *event.Letter
	for _, a := range args {
		switch a := a.(type) {
		case event.Event:
			e = &a
		case event.Past:
			past = &a
		case event.Letter:
			letter = &a
		}
	}
	var next *workflow.ContinueAsNewError
	goesOn := errors.As(err, &next)
	switch {
	case e == nil:
	case letter != nil && goesOn:
		if next.WorkflowType.Name == event.ProcessEvent {
			i.to.Replayed(*e)
		}
	case letter != nil:
		// A run that only stands in another's place is no event that died, and a
		// reset that came too late ends without an error.
		if err != nil && letter.Instead == nil {
			i.to.Died(*e, *letter)
		}
	case past != nil && err == nil:
		end := End{Replayed: len(past.Replays) > 0, Ignored: i.ignored.Remove(e.ID)}
		since := e.Received
		if end.Replayed {
			since = workflow.GetInfo(ctx).WorkflowStartTime
		}
		// The clock on the wall: the time of the workflow stands still within a
		// task, and the first attempt is made in one. It goes to the observer
		// alone, never into the run, and a replay does not come here.
		end.Took = time.Since(since) //workflowcheck:ignore
		i.to.Handled(*e, end)
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
	// Again is set where it failed and another attempt is made.
	Again bool
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
	inbound := &attempting{observing: i}
	inbound.Next = next
	return inbound
}

type attempting struct {
	interceptor.ActivityInboundInterceptorBase
	*observing
}

func (i *attempting) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	task, ok := taskOf(in)
	if !ok {
		out, err := i.Next.ExecuteActivity(ctx, in)
		i.notePlan(in, out)
		return out, err
	}
	number, began := task.Before+int(activity.GetInfo(ctx).Attempt), time.Now()
	out, err := i.Next.ExecuteActivity(ctx, in)
	result := resultOf(err)
	i.to.Attempted(Attempt{
		Event: task.Event, Route: task.Route.Name, Number: number, Result: result, Err: err, Took: time.Since(began),
		Again: result != Done && result != Deferred && !isFinal(err) && number < task.Route.Retry.Attempts,
	})
	return out, err
}

// notePlan remembers the plan to ignore an event.
func (i *attempting) notePlan(in *interceptor.ExecuteActivityInput, out any) {
	plan, ok := out.(event.Plan)
	if !ok || !plan.Ignore || len(in.Args) == 0 {
		return
	}
	if ask, ok := in.Args[0].(event.Ask); ok {
		i.ignored.Add(ask.Event.ID, struct{}{})
	}
}

// taskOf tells the activities that are attempts at a route from the others.
func taskOf(in *interceptor.ExecuteActivityInput) (event.Task, bool) {
	if len(in.Args) == 0 {
		return event.Task{}, false
	}
	task, ok := in.Args[0].(event.Task)
	return task, ok
}

// isFinal tells whether an attempt failed for good.
func isFinal(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.NonRetryable()
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
