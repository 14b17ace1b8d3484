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

// failure makes what a dead letter says of a route. attempts is the number of attempts, unless
// the error itself tells it.
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

// innermostMessage gives the text of the innermost error. What Temporal wraps around it says
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

// attemptsOf gives the attempts of which an error tells. If the last attempt hung or its worker
// died, these are the ones before it.
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
			return nil // The heartbeat holds something of the handler's own.
		}
	}
	return all
}

// isPermanent tells whether no further attempt can succeed.
func isPermanent(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.NonRetryable()
}

// deferralOf gives until when an event has to wait, if an error says so.
func deferralOf(err error) (d event.Detail, ok bool) {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != event.FailureDeferred || !app.HasDetails() {
		return d, false
	}
	return d, app.Details(&d) == nil
}

// nextRetry gives the retry delay after the attempts made so far: the one that the last error
// asks for, else the route's.
func nextRetry(err error, t event.Task) time.Duration {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.NextRetryDelay() > 0 {
		return app.NextRetryDelay()
	}
	return t.Route.Retry.Wait(t.Before)
}

// maxErrors is the most bytes of errors in a dead letter. It holds them twice, in its input and
// in the text of its failure, which makes 256 KiB.
const maxErrors = 128 << 10

// maxTried is how many of these bytes the attempts may take.
const maxTried = 16 << 10

// boundedTried shortens the errors of a route's attempts to n bytes in all.
func boundedTried(tried []event.Attempt, n int) []event.Attempt {
	all := slices.Clone(tried) // The run may still need them in full.
	for i := range all {
		all[i].Error = event.Cut(all[i].Error, n/len(all))
	}
	return all
}

// boundFailures shortens messages and stacks so that all of them together fit.
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

// staticDetails gives what the Web UI shows of a dead letter, in Markdown.
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

// maxDetails is the most characters of an error in these details.
const maxDetails = 1000

// letterText gives the text with which a dead letter fails: the event in one line, then each
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
