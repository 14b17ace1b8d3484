// Package workflows is the rule by which an event is handled: make a plan, run every route of the
// plan, and keep what failed as a dead letter. Workflow code is deterministic. Everything that
// touches the outside world is an activity, and is called by a typed function in calls.go.
package workflows

import (
	"strings"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// ProcessEvent handles one event. It asks for the plan, which history records, runs all routes at
// once, and is done when all of them are. If a route has failed for good, the run continues as a
// DeadLetter with only what failed. The body is a raw payload, so that its bytes stay as the
// sender signed them. past is zero, except for an event that is replayed, or that has waited so
// long that its run continued as new. corrected is zero, except for an event whose body an
// operator replaced.
func ProcessEvent(ctx workflow.Context, e event.Event, body converter.RawValue, past event.Past, corrected converter.RawValue) error {
	r := newRun(ctx, e, body)
	r.correct(past, corrected)
	if err := r.answerPast(ctx, past); err != nil {
		return err
	}
	pending, failures, done, err := r.plan(ctx, past)
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // Somebody cancelled the run: the event is given up and becomes no dead letter.
	case r.renew:
		return r.continueAsNew(ctx, past)
	case err != nil:
		return deadLetter(ctx, r, []event.Failure{r.failure(ctx, event.Route{}, 0, err)}, past)
	case done:
		return nil
	}
	failed, left := r.runRoutes(ctx, pending)
	failures = append(failures, failed...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	past.Done = append(past.Done, succeeded(pending, failures)...)
	if len(left) > 0 {
		past.Pending, past.Failed = left, boundFailures(failures)
		return r.continueAsNew(ctx, past)
	}
	if len(failures) == 0 {
		return nil
	}
	return deadLetter(ctx, r, failures, past)
}

// plan gives the routes to run: those that an earlier run has left, if this run continues it,
// else those of the table of routes. failures are routes that can't be run. done is set when the
// event is to be ignored.
func (r *run) plan(ctx workflow.Context, past event.Past) (
	pending []event.Pending, failures []event.Failure, done bool, err error,
) {
	if len(past.Pending) > 0 {
		r.unplanned = past.Failed
		return past.Pending, past.Failed, false, nil
	}
	ask := event.Ask{Event: r.event, Replay: len(past.Replays) > 0, Left: past.Left, Done: past.Done, Undecided: past.Undecided}
	plan, late, err := route(ctx, ask, r.body)
	r.later = late
	for {
		d, deferred := deferralOf(err)
		if !deferred {
			break
		}
		r.open, r.waiting = 1, 0
		if !r.wait(ctx, &event.Pending{Until: d.Until, Reason: innermostMessage(err)}) {
			return nil, nil, false, nil
		}
		plan, late, err = route(ctx, ask, r.body)
		r.later = r.later || late || hasChange(ctx, changeNoHandlerAfterWait)
	}
	if err != nil {
		return nil, nil, false, err
	}
	failures = append(routesGone(plan.Gone), plan.Failed...)
	r.unplanned = failures
	if len(plan.Routes) == 0 && len(failures) == 0 && !plan.Ignore {
		failures = []event.Failure{noHandler(r.event, plan.Declined)}
	}
	return r.begin(ctx, plan.Routes), failures, plan.Ignore, nil
}

// continueAsNew ends a run whose history has grown long; a new run goes on with what is left.
func (r *run) continueAsNew(ctx workflow.Context, past event.Past) error {
	return workflow.NewContinueAsNewError(ctx, event.ProcessEvent, inputOf(r.sent, r.original, past, r.corrected)...)
}

// deadLetter ends the run; a run of DeadLetter follows it.
func deadLetter(ctx workflow.Context, r *run, failures []event.Failure, past event.Past) error {
	letter := event.Letter{
		Failures: boundFailures(failures), Done: past.Done, Replays: past.Replays,
		Form: event.LetterForm, Correction: past.Correction,
	}
	return workflow.NewContinueAsNewError(ctx, event.DeadLetter, inputOf(r.sent, r.original, letter, r.corrected)...)
}

func noHandler(e event.Event, declined []string) event.Failure {
	f := event.Failure{Type: event.FailureUnmatched, Message: "no handler for " + e.Name()}
	if len(declined) > 0 {
		f.Message += ": the condition of " + strings.Join(declined, ", ") + " does not hold"
	}
	return f
}

func routesGone(names []string) []event.Failure {
	var failures []event.Failure
	for _, name := range names {
		failures = append(failures, event.Failure{Route: name, Type: event.FailureGone, Message: "route gone"})
	}
	return failures
}

// succeeded names the routes that are neither among the failures nor waiting.
func succeeded(routes []event.Pending, failures []event.Failure) []string {
	failed := map[string]bool{}
	for _, f := range failures {
		failed[f.Route] = true
	}
	var names []string
	for _, p := range routes {
		if !failed[p.Route.Name] && !p.Waits {
			names = append(names, p.Route.Name)
		}
	}
	return names
}
