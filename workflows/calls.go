package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// Every call of an activity stands in this file, behind a function with types:
// Temporal itself checks neither arguments nor results.

// timeoutGrace is what Temporal waits beyond a route's time-out, so that the
// activity's own account of a time-out comes first.
const timeoutGrace = time.Second

// localContext makes the context of a local activity; the Web UI shows the summary.
func localContext(ctx workflow.Context, timeout time.Duration, summary string) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		Summary:             event.Clean(summary, maxSummary),
		StartToCloseTimeout: timeout,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
}

// route asks for the plan of an event, or is told until when the event has to wait. late is
// set when that took more than one workflow task.
func route(ctx workflow.Context, ask event.Ask, body converter.RawValue) (plan event.Plan, late bool, err error) {
	late, err = inTime(ctx, func() error {
		return workflow.ExecuteLocalActivity(localContext(ctx, localTimeout, ""), event.ActivityRoute, ask, body).Get(ctx, &plan)
	})
	return plan, late, err
}

// callTries is how often a call is made that does not end in time.
const callTries = 10

// inTime makes a call that takes next to no time. One that does not end in time is made again,
// later each time and for six minutes in all: a worker that is short of CPU, and not the event, is
// why. again is set when it was. Runs that are older than this failed at once.
func inTime(ctx workflow.Context, call func() error) (again bool, err error) {
	wait := time.Second
	for tries := 1; ; tries++ {
		err := call()
		var timeout *temporal.TimeoutError
		if !errors.As(err, &timeout) || tries == callTries || !hasChange(ctx, changeLateCalls) || workflow.Sleep(ctx, wait) != nil {
			return tries > 1, err
		}
		wait = min(2*wait, time.Minute)
	}
}

// The changes of this package that a run which began before must not see.
const (
	// changeLateCalls makes calls again that did not end in time.
	changeLateCalls = "calls-made-again-when-late"
	// changeNoHandlerAfterWait makes no attempt of a handler within the workflow task that
	// ends a wait for the plan.
	changeNoHandlerAfterWait = "no-handler-in-the-task-after-a-wait"
)

// hasChange tells whether a run has a change. It costs a marker, so it is asked only where
// something out of the ordinary has happened.
func hasChange(ctx workflow.Context, change string) bool {
	return workflow.GetVersion(ctx, change, workflow.DefaultVersion, 1) == 1
}

// try makes one attempt at a route within the workflow task. The activity is
// the same for all routes: a local one under its own name would not replay on
// a worker that no longer has it.
func try(ctx workflow.Context, t event.Task, body converter.RawValue) error {
	ctx = localContext(ctx, t.Route.Timeout+timeoutGrace, t.Route.Name)
	return workflow.ExecuteLocalActivity(ctx, event.ActivityTry, t, body).Get(ctx, nil)
}

// admit asks whether an event may go to a route on another task queue now.
func admit(ctx workflow.Context, t event.Task) error {
	_, err := inTime(ctx, func() error {
		return workflow.ExecuteLocalActivity(localContext(ctx, localTimeout, t.Route.Name), event.ActivityAdmit, t).Get(ctx, nil)
	})
	return err
}

// attempt makes the attempts at a route that are left, under a retry policy.
func attempt(ctx workflow.Context, t event.Task, body converter.RawValue) error {
	retry := t.Route.Retry
	initial := max(retry.Wait(t.Before+1), time.Millisecond)
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: t.Route.TaskQueue,
		// Without a time-out to start within, an event waits for ever for a worker.
		ScheduleToStartTimeout: t.Route.StartWithin,
		StartToCloseTimeout:    t.Route.Timeout + timeoutGrace,
		Summary:                event.Clean(t.Route.Name, maxSummary),
		// The activity names each retry delay itself, with jitter and with what the
		// other side asked for; the policy remains for crashes and time-outs.
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    initial,
			BackoffCoefficient: max(retry.Multiplier, 1),
			MaximumInterval:    max(retry.Max, initial),
			MaximumAttempts:    int32(max(retry.Attempts-t.Before, 1)), //nolint:gosec // G115: a number of attempts is small.
		},
	})
	return workflow.ExecuteActivity(ctx, t.Route.Activity, t, body).Get(ctx, nil)
}

// deleteRun removes an earlier run of this workflow, and tells what became of its
// dead letter since it ended. It does not fail: a run that stays is a line too
// many in a list, and blocks nothing.
func deleteRun(ctx workflow.Context, runID string) (since event.Since) {
	ctx = localContext(ctx, localTimeout, "")
	if err := workflow.ExecuteLocalActivity(ctx, event.ActivityDeleteRun, runID).Get(ctx, &since); err != nil {
		workflow.GetLogger(ctx).Warn("could not delete the run that a replay came from", "error", err)
	}
	return since
}

// foundBy tells by which search attributes a dead letter can be found here, and
// removes the run in whose place this one stands. It does not fail: without an
// answer there are none.
func foundBy(ctx workflow.Context, instead string) (names []string) {
	ctx = localContext(ctx, localTimeout, "")
	if err := workflow.ExecuteLocalActivity(ctx, event.ActivityIndex, instead).Get(ctx, &names); err != nil {
		workflow.GetLogger(ctx).Warn("could not ask for the search attributes", "error", err)
	}
	return names
}

// The time-outs of an operation's activities, which say that they are alive.
const (
	operationTimeout   = time.Hour
	operationHeartbeat = 20 * time.Second
)

// operationContext makes the context of an operation's activity. It is tried until it
// works: an operation outlives workers and Temporal.
func operationContext(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: operationTimeout,
		HeartbeatTimeout:    operationHeartbeat,
		Summary:             event.Clean(summary, maxSummary),
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 30 * time.Second},
	})
}

// freeze writes the set of an operation down.
func freeze(ctx workflow.Context, op event.Operation) (frozen event.Progress, err error) {
	err = workflow.ExecuteActivity(operationContext(ctx, "freeze the set"), event.ActivityFreeze, op).Get(ctx, &frozen)
	return frozen, err
}

// workBatch does a batch of an operation.
func workBatch(ctx workflow.Context, w event.Work) (done event.Done, err error) {
	err = workflow.ExecuteActivity(operationContext(ctx, string(w.Operation.Action)), event.ActivityWork, w).Get(ctx, &done)
	return done, err
}

// settlePage looks again at the items of a page that were still being handled.
func settlePage(ctx workflow.Context, w event.Work) (counts map[event.Became]int, err error) {
	err = workflow.ExecuteActivity(operationContext(ctx, "see what became of them"), event.ActivitySettle, w).Get(ctx, &counts)
	return counts, err
}

// cancelRest notes of all items from one on that they will have no turn.
func cancelRest(ctx workflow.Context, w event.Work) (counts map[event.Became]int, err error) {
	err = workflow.ExecuteActivity(operationContext(ctx, "note what has no turn"), event.ActivityCancel, w).Get(ctx, &counts)
	return counts, err
}

// The bounds of a sweep: of one attempt, and of how often it is made. The next turn
// of its schedule looks again anyway.
const (
	sweepTimeout   = 30 * time.Minute
	sweepHeartbeat = time.Minute
	sweepAttempts  = 8
)

// sweep asks a sender for what it could not deliver. Where a rate limit is in the way
// the activity says itself when to go on.
func sweep(ctx workflow.Context, s event.Sweep) (swept event.Swept, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: sweepTimeout,
		HeartbeatTimeout:    sweepHeartbeat,
		Summary:             event.Clean(s.Name, maxSummary),
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 5 * time.Second, MaximumInterval: 5 * time.Minute, MaximumAttempts: sweepAttempts},
	})
	err = workflow.ExecuteActivity(ctx, event.ActivitySweep, s).Get(ctx, &swept)
	return swept, err
}
