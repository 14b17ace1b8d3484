package workflows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// failure is what a dead letter says of a route. attempts is the number it had;
// the error knows better where it was not tried to the end.
func (r *run) failure(ctx workflow.Context, rt event.Route, attempts int, err error) event.Failure {
	now := workflow.Now(ctx)
	f := event.Failure{
		Route: rt.Name, Type: "Error", Message: innermostMessage(err),
		Attempts: attempts, First: now, Last: now,
	}
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	switch {
	case errors.As(err, &app):
		f.Type = app.Type()
		var d event.Detail
		if app.HasDetails() && app.Details(&d) == nil {
			f.Stack, f.Answer, f.Attempts, f.Cause = d.Stack, d.Answer, d.Attempt, d.Reason
		}
	case errors.As(err, &timeout):
		f.Type = event.FailureTimeout
	}
	return f
}

// innermostMessage is the text of the innermost error: Temporal's own wrapping says
// nothing that the dead letter does not say elsewhere.
func innermostMessage(err error) string {
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	switch {
	case errors.As(err, &app):
		return app.Message()
	case errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_START_TO_CLOSE:
		return "no end within the time-out: it hung, or its worker died"
	case errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START:
		return "no worker took it in time: does one run on its task queue?"
	default:
		return err.Error()
	}
}

// attemptsOf are the attempts that an error tells of: of one that hung or whose worker
// died, those before it.
func attemptsOf(err error) (all []event.Attempt) {
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	switch {
	case errors.As(err, &app) && app.HasDetails():
		var d event.Detail
		if app.Details(&d) == nil {
			all = d.Tried
		}
	case errors.As(err, &timeout) && timeout.HasLastHeartbeatDetails():
		if timeout.LastHeartbeatDetails(&all) != nil {
			return nil // A handler keeps something of its own there.
		}
	}
	return all
}

// isPermanent tells whether no further attempt can mend the error.
func isPermanent(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.NonRetryable()
}

// deferralOf is until when an event has to wait, if that is what an error says.
func deferralOf(err error) (d event.Detail, ok bool) {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != event.FailureDeferred || !app.HasDetails() {
		return d, false
	}
	return d, app.Details(&d) == nil
}

// nextRetry is the retry delay after the attempts made so far: what the last one
// asks for, else the route's own.
func nextRetry(err error, t event.Task) time.Duration {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.NextRetryDelay() > 0 {
		return app.NextRetryDelay()
	}
	return t.Route.Retry.Wait(t.Before)
}

// maxErrors is what a dead letter carries of errors. It carries them twice, in
// its input and as the text it fails with; 256 KiB in all.
const maxErrors = 128 << 10

// maxTried is what of that is for the attempts.
const maxTried = 16 << 10

// boundedTried shortens the errors of a route's attempts to n bytes in all.
func boundedTried(tried []event.Attempt, n int) []event.Attempt {
	all := slices.Clone(tried) // The run itself may still go on with them.
	for i := range all {
		all[i].Error = event.Cut(all[i].Error, n/len(all))
	}
	return all
}

// boundFailures cuts messages and stacks so that all of them fit.
func boundFailures(failures []event.Failure) []event.Failure {
	for i := range failures {
		failures[i].Tried = boundedTried(failures[i].Tried, maxTried/len(failures))
	}
	each := (maxErrors - maxTried) / max(len(failures), 1) / 2
	for _, f := range failures {
		if f.Answer != "" {
			each = (maxErrors - maxTried) / len(failures) / 3
			break
		}
	}
	for i := range failures {
		failures[i].Message = event.Cut(failures[i].Message, each)
		failures[i].Stack = event.Cut(failures[i].Stack, each)
		failures[i].Answer = event.Cut(failures[i].Answer, each)
	}
	return failures
}

// staticDetails are what the Web UI shows of a dead letter, in Markdown.
func staticDetails(letter event.Letter) string {
	var b strings.Builder
	for _, f := range letter.Failures {
		name := f.Route
		if name == "" {
			name = "no route"
		}
		fmt.Fprintf(&b, "- `%s`, attempts: %d\n\n```\n%s\n```\n", strings.ReplaceAll(name, "`", "'"), f.Attempts,
			strings.ReplaceAll(event.Clean(f.Message, maxDetails), "`", "'"))
	}
	if letter.Correction != nil {
		b.WriteString("- the body was **corrected**\n")
	}
	return b.String()
}

// maxDetails is the length in characters of an error in them.
const maxDetails = 1000

// letterText is what a dead letter fails with: the event in one line, then each
// failure.
func letterText(e event.Event, letter event.Letter) string {
	var b strings.Builder
	b.WriteString(e.Summary())
	for _, f := range letter.Failures {
		b.WriteString("\n")
		if f.Route != "" {
			b.WriteString(f.Route + ": ")
		}
		b.WriteString(f.Message)
		if f.Attempts > 0 {
			fmt.Fprintf(&b, " (%s, attempts: %d, first %s, last %s)",
				f.Type, f.Attempts, f.First.UTC().Format(time.RFC3339), f.Last.UTC().Format(time.RFC3339))
		}
		if f.Stack != "" {
			b.WriteString("\n" + f.Stack)
		}
	}
	for _, r := range letter.Replays {
		b.WriteString("\nreplayed " + r.At.UTC().Format(time.RFC3339))
		if r.Actor != "" || r.Reason != "" {
			fmt.Fprintf(&b, " by %s (%s)", r.Actor, r.Reason)
		}
		b.WriteString(" after: " + r.Error)
	}
	return b.String()
}
