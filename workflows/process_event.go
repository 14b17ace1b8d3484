// Package workflows is the rule by which an event is handled: make its plan, run
// every route of the plan, and keep what failed as a dead letter. Workflow code
// is deterministic; whatever touches the world is an activity, called through a
// typed function in calls.go.
package workflows

import (
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// ProcessEvent handles one event: it asks for the plan, which history records,
// runs all routes at once, and is done when all of them are. If any route
// failed for good, the run continues as a DeadLetter with only what failed. The
// body is a raw payload, so that its bytes are those the sender signed. past is
// zero but for an event that is replayed, and corrected but for one whose body an
// operator replaced.
func ProcessEvent(ctx workflow.Context, e event.Event, body converter.RawValue, past event.Past, corrected converter.RawValue) error {
	r := newRun(ctx, e, body)
	r.correct(past, corrected)
	if err := r.answerPast(ctx, past); err != nil {
		return err
	}
	replay := len(past.Replays) > 0
	plan, err := route(ctx, event.Ask{Event: e, Replay: replay, Left: past.Left, Done: past.Done})
	if err != nil {
		return deadLetter(ctx, r, []event.Failure{r.failure(ctx, event.Route{}, 0, err)}, past)
	}
	if plan.Ignore {
		return nil
	}
	failures := gone(plan.Gone)
	if len(plan.Routes) == 0 && len(failures) == 0 {
		failures = []event.Failure{unmatched(e)}
	}
	failures = append(failures, r.all(ctx, plan.Routes)...)
	if ctx.Err() != nil {
		return ctx.Err() // cancelled by hand: given up on, no dead letter
	}
	if len(failures) == 0 {
		return nil
	}
	past.Done = append(past.Done, succeeded(plan.Routes, failures)...)
	return deadLetter(ctx, r, failures, past)
}

// deadLetter ends the run and goes on as a dead letter.
func deadLetter(ctx workflow.Context, r *run, failures []event.Failure, past event.Past) error {
	letter := event.Letter{
		Failures: bounded(failures), Done: past.Done, Replays: past.Replays,
		Form: event.LetterForm, Correction: past.Correction,
	}
	return workflow.NewContinueAsNewError(ctx, event.DeadLetter, arguments(r.sent, r.original, letter, r.corrected)...)
}

func unmatched(e event.Event) event.Failure {
	return event.Failure{Type: event.FailureUnmatched, Message: "no handler for " + e.Name()}
}

func gone(names []string) []event.Failure {
	var failures []event.Failure
	for _, name := range names {
		failures = append(failures, event.Failure{Route: name, Type: event.FailureGone, Message: "route gone"})
	}
	return failures
}

// succeeded names the routes of a plan that are not among the failures.
func succeeded(routes []event.Route, failures []event.Failure) []string {
	failed := map[string]bool{}
	for _, f := range failures {
		failed[f.Route] = true
	}
	var names []string
	for _, rt := range routes {
		if !failed[rt.Name] {
			names = append(names, rt.Name)
		}
	}
	return names
}
