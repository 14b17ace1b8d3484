package worker

import (
	"context"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/workflows"
)

// Observer is told how events end: once for each workflow task that ends an event, and once
// more where the answer of such a task is lost on its way to Temporal.
type Observer interface {
	// Handled tells of an event with which nothing is left to do.
	Handled(e event.Event, end End)
	// Died tells of an event that became a dead letter.
	Died(e event.Event, letter event.Letter)
	// Replayed tells of a dead letter that is replayed.
	Replayed(e event.Event)
	// Attempted tells of an attempt at a route, whatever came of it.
	Attempted(a Attempt)
}

// The interceptors below know the runs and the activities that concern an event by the types of
// their arguments and results. Whoever changes one of these signatures is stopped here by the
// compiler: without this, the observer would only fall silent, and with it logs and metrics.
var (
	_ func(workflow.Context, event.Event, converter.RawValue, event.Past, converter.RawValue) error   = workflows.ProcessEvent
	_ func(workflow.Context, event.Event, converter.RawValue, event.Letter, converter.RawValue) error = workflows.DeadLetter

	_ func(*activities.Activities, context.Context, event.Ask, converter.RawValue) (event.Plan, error) = (*activities.Activities).Route
	_ func(*activities.Activities, context.Context, event.Task, converter.RawValue) error              = (*activities.Activities).Try
	_ func(*activities.Activities, context.Context, event.Task) error                                  = (*activities.Activities).Admit
)

// argument finds the first value of a type among the arguments of a run or an activity.
func argument[T any](args []any) (value T, ok bool) {
	for _, a := range args {
		if value, ok = a.(T); ok {
			return value, true
		}
	}
	return value, false
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

// observe makes the interceptor that tells an observer; without one it does nothing.
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

// newIgnored makes the memory of the events whose plan says to ignore them. It has to hold an
// event from the activity that makes the plan to the end of the same workflow task.
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

// tell tells the observer how a run has ended: one of ProcessEvent has an event.Past among its
// arguments, one of DeadLetter an event.Letter.
func (i *inbound) tell(ctx workflow.Context, args []any, err error) {
	e, ok := argument[event.Event](args)
	if !ok {
		return
	}
	past, processed := argument[event.Past](args)
	letter, dead := argument[event.Letter](args)
	var next *workflow.ContinueAsNewError
	goesOn := errors.As(err, &next)
	switch {
	case dead && goesOn:
		if next.WorkflowType.Name == event.ProcessEvent {
			i.to.Replayed(e)
		}
	case dead:
		// A run that only stands in the place of another one is no event that died, and a
		// reset that came too late ends without an error.
		if err != nil && letter.Instead == nil {
			i.to.Died(e, letter)
		}
	case processed && err == nil:
		end := End{Replayed: len(past.Replays) > 0, Ignored: i.ignored.Remove(e.ID)}
		since := e.Received
		if end.Replayed {
			since = workflow.GetInfo(ctx).WorkflowStartTime
		}
		// This is the real time: the workflow's own clock stands still within a task, in
		// which the first attempt is made. It goes to the observer alone, never into the
		// run, and a replay of the history does not come here.
		end.Took = time.Since(since) //workflowcheck:ignore
		i.to.Handled(e, end)
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
	info, began := activity.GetInfo(ctx), time.Now()
	out, err := i.Next.ExecuteActivity(ctx, in)
	task, ok := argument[event.Task](in.Args)
	if !ok {
		i.notePlan(in.Args, out)
		return out, err
	}
	if info.ActivityType.Name == event.ActivityAdmit && err == nil {
		return out, nil // The worker of the route's own task queue makes the attempt.
	}
	number := task.Before + int(info.Attempt)
	result := resultOf(err)
	i.to.Attempted(Attempt{
		Event: task.Event, Route: task.Route.Name, Number: number, Result: result, Err: err, Took: time.Since(began),
		Again: result != Done && result != Deferred && !isFinal(err) && number < task.Route.Retry.Attempts,
	})
	return out, err
}

// notePlan remembers an event whose plan, the result of an activity, says to ignore it.
func (i *attempting) notePlan(args []any, out any) {
	if plan, ok := out.(event.Plan); !ok || !plan.Ignore {
		return
	}
	if ask, ok := argument[event.Ask](args); ok {
		i.ignored.Add(ask.Event.ID, struct{}{})
	}
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
