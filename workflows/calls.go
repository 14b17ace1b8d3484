package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// Every call of an activity stands in this file, in a function with types: Temporal itself checks
// neither arguments nor results.

// timeoutGrace is how much longer than a route's time-out Temporal waits, so that the activity
// itself can report the time-out first.
const timeoutGrace = time.Second

// localContext makes the context of a local activity. The Web UI shows the summary.
func localContext(ctx workflow.Context, timeout time.Duration, summary string) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		Summary:             event.Clean(summary, maxSummary),
		StartToCloseTimeout: timeout,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
}

// route asks for the plan of an event. The error may say until when the event has to wait. late
// is set when the answer took more than one workflow task.
func route(ctx workflow.Context, ask event.Ask, body converter.RawValue) (plan event.Plan, late bool, err error) {
	late, err = inTime(ctx, func() error {
		return workflow.ExecuteLocalActivity(localContext(ctx, localTimeout, ""), event.ActivityRoute, ask, body).Get(ctx, &plan)
	})
	return plan, late, err
}

// callTries is how often a call is made at most that does not end in time.
const callTries = 10

// inTime makes a call that normally takes next to no time. If it times out, the call is made
// again, after longer and longer delays and for six minutes in all: the reason is a worker that
// is short of CPU, and not the event. again tells whether the call was repeated. Runs that began
// with an older version fail at the first time-out.
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

// Changes of this package, by the names that version gates have in history: a run that began
// before a change must not see it.
const (
	// changeLateCalls repeats calls that did not end in time.
	changeLateCalls = "calls-made-again-when-late"
	// changeNoHandlerAfterWait makes no attempt of a handler within the workflow task that
	// ends a wait for the plan.
	changeNoHandlerAfterWait = "no-handler-in-the-task-after-a-wait"
)

// hasChange tells whether a run has a change. Asking writes a marker into history, so it is asked
// only where something out of the ordinary has happened.
func hasChange(ctx workflow.Context, change string) bool {
	return workflow.GetVersion(ctx, change, workflow.DefaultVersion, 1) == 1
}

// try makes one attempt at a route within the workflow task. All routes use the same activity: a
// local activity under a route's own name would not replay on a worker that no longer has the
// route.
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

// attempt makes the remaining attempts at a route, by an activity with a retry policy.
func attempt(ctx workflow.Context, t event.Task, body converter.RawValue) error {
	retry := t.Route.Retry
	initial := max(retry.Wait(t.Before+1), time.Millisecond)
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: t.Route.TaskQueue,
		// Where this is 0, an event waits for ever for a worker to take it.
		ScheduleToStartTimeout: t.Route.StartWithin,
		StartToCloseTimeout:    t.Route.Timeout + timeoutGrace,
		Summary:                event.Clean(t.Route.Name, maxSummary),
		// The activity's error names each retry delay, with jitter and with what the destination
		// asked for. The policy counts only after crashes and time-outs.
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    initial,
			BackoffCoefficient: max(retry.Multiplier, 1),
			MaximumInterval:    max(retry.Max, initial),
			MaximumAttempts:    int32(max(retry.Attempts-t.Before, 1)), //nolint:gosec // G115: a number of attempts is small.
		},
	})
	return workflow.ExecuteActivity(ctx, t.Route.Activity, t, body).Get(ctx, nil)
}

// deleteRun removes an earlier run of this workflow, and tells what became of its dead letter
// since that run ended. It never fails: a run that stays is only one line too many in a list.
func deleteRun(ctx workflow.Context, runID string) (since event.Since) {
	ctx = localContext(ctx, localTimeout, "")
	if err := workflow.ExecuteLocalActivity(ctx, event.ActivityDeleteRun, runID).Get(ctx, &since); err != nil {
		workflow.GetLogger(ctx).Warn("could not delete the run that a replay came from", "error", err)
	}
	return since
}

// foundBy tells by which search attributes a dead letter can be found in this namespace, and
// removes the run that this one replaces, if one is named. It never fails: without an answer it
// gives none.
func foundBy(ctx workflow.Context, instead string) (names []string) {
	ctx = localContext(ctx, localTimeout, "")
	if err := workflow.ExecuteLocalActivity(ctx, event.ActivityIndex, instead).Get(ctx, &names); err != nil {
		workflow.GetLogger(ctx).Warn("could not ask for the search attributes", "error", err)
	}
	return names
}

// The time-outs of an operation's activities, which send heartbeats.
const (
	operationTimeout   = time.Hour
	operationHeartbeat = 20 * time.Second
)

// operationContext makes the context of an operation's activity. The activity is tried until it
// succeeds: an operation outlives restarts of workers and of Temporal.
func operationContext(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: operationTimeout,
		HeartbeatTimeout:    operationHeartbeat,
		Summary:             event.Clean(summary, maxSummary),
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 30 * time.Second},
	})
}

// freeze stores the set of dead letters that an operation is for.
func freeze(ctx workflow.Context, op event.Operation) (frozen event.Progress, err error) {
	err = workflow.ExecuteActivity(operationContext(ctx, "freeze the set"), event.ActivityFreeze, op).Get(ctx, &frozen)
	return frozen, err
}

// workBatch runs one batch of an operation.
func workBatch(ctx workflow.Context, w event.Work) (done event.Done, err error) {
	err = workflow.ExecuteActivity(operationContext(ctx, string(w.Operation.Action)), event.ActivityWork, w).Get(ctx, &done)
	return done, err
}

// settlePage looks again at those items of a page that were still being handled.
func settlePage(ctx workflow.Context, w event.Work) (counts map[event.Became]int, err error) {
	err = workflow.ExecuteActivity(operationContext(ctx, "see what became of them"), event.ActivitySettle, w).Get(ctx, &counts)
	return counts, err
}

// cancelRest notes that all items from one on will not have their turn.
func cancelRest(ctx workflow.Context, w event.Work) (counts map[event.Became]int, err error) {
	err = workflow.ExecuteActivity(operationContext(ctx, "note what has no turn"), event.ActivityCancel, w).Get(ctx, &counts)
	return counts, err
}

// The bounds of a sweep: of one attempt, and of the number of attempts. The next run of its
// schedule looks again anyway.
const (
	sweepTimeout   = 30 * time.Minute
	sweepHeartbeat = time.Minute
	sweepAttempts  = 8
)

// sweep asks a sender again for events that it could not deliver. Under a rate limit, the
// activity's error says when to go on.
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
