package activities

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
)

// Try makes one attempt at any route. Its error holds the number of the attempt and when the next
// one is due, or says until when the event has to wait without using up an attempt.
func (a *Activities) Try(ctx context.Context, t event.Task, body converter.RawValue) error {
	nth := int(activity.GetInfo(ctx).Attempt)
	attempt := t.Before + nth
	if nth > 1 {
		t.Slot, t.Shut = time.Time{}, time.Time{} // They counted only for the first of these attempts.
	}
	now := a.table.Load()
	target, ok := now.target(t.Route.Name)
	if !ok {
		return now.failed(t, attempt, now.missing(t.Route.Name))
	}
	remember := recallAttempts(ctx, &t)
	timed, cancel := context.WithTimeout(ctx, t.Route.Timeout)
	defer cancel()
	timed, end := a.follow(timed, t, attempt)
	err := safely(func() error { return target.run(timed, t, attempt, body.Payload().GetData()) })
	end(err)
	err = now.failed(t, attempt, err)
	remember(err, attempt)
	return err
}

// recallAttempts adds to a task the failures that earlier attempts of this activity have left in
// its heartbeat, because Temporal itself keeps only the last one. The function that it gives
// leaves a failure there for the next attempt, which costs a call. If a handler keeps something
// of its own in the heartbeat, both do nothing.
func recallAttempts(ctx context.Context, t *event.Task) (remember func(err error, attempt int)) {
	info := activity.GetInfo(ctx)
	forget := func(error, int) {}
	if info.IsLocalActivity {
		return forget
	}
	if activity.HasHeartbeatDetails(ctx) {
		var tried []event.Attempt
		if activity.GetHeartbeatDetails(ctx, &tried) != nil || len(tried) == 0 || tried[0].Number == 0 {
			return forget
		}
		t.Tried = tried
	}
	return func(err error, attempt int) {
		app, ok := errors.AsType[*temporal.ApplicationError](err)
		if !ok || app.NonRetryable() || attempt >= t.Route.Retry.Attempts {
			return // No attempt follows.
		}
		var d event.Detail
		if app.Details(&d) == nil {
			activity.RecordHeartbeat(ctx, d.Tried)
		}
	}
}

// Admit asks whether an event may go now to a route on another task queue, because the worker
// there knows nothing of pauses and rates. The error says until when the event waits, or that the
// route is gone.
func (a *Activities) Admit(_ context.Context, t event.Task) error {
	now := a.table.Load()
	target, ok := now.target(t.Route.Name)
	switch {
	case !ok:
		return now.failed(t, t.Before+1, now.missing(t.Route.Name))
	case target.admit == nil:
		return nil
	}
	return now.failed(t, t.Before+1, target.admit(t.Slot))
}

// goneAfter is how long a configuration has to be in force before a route that it lacks counts as
// gone. Other workers may have read a newer configuration a little earlier.
const goneAfter = 30 * time.Second

// missing gives the error of a route that this worker lacks. Shortly after a change of the
// configuration the event waits, and may find a worker that has the route; later it becomes a
// dead letter.
func (t *routeTable) missing(name string) error {
	if left := goneAfter - time.Since(t.since); left > 0 {
		return handler.Defer(left, fmt.Errorf("this worker has no route %s yet, or no more", name))
	}
	return &goneError{name}
}

// goneError says that a planned route does not exist any more.
type goneError struct{ route string }

func (g *goneError) Error() string {
	return "there is no route " + g.route + " any more: it was removed while the event waited for it"
}

// panicked is the error that a handler's panic becomes.
type panicked struct {
	value any
	stack string
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func safely(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{value: v, stack: string(debug.Stack())}
		}
	}()
	return fn()
}

const (
	// maxText is the most bytes of a message or a stack. A workflow task may have to hold one for
	// each route.
	maxText = 8 << 10
	// maxAnswers is how many bytes the answers of all destinations of an event may have together
	// in one workflow task.
	maxAnswers = 1 << 20
)

// reasoned is an error that names its kind. Dead letters are grouped by it.
type reasoned interface {
	error
	Reason() string
}

// failed turns the error of an attempt into one for Temporal.
func (t *routeTable) failed(task event.Task, attempt int, err error) error {
	if err == nil {
		return nil
	}
	if d, ok := deferral(err, attempt); ok {
		d.Tried = task.Tried
		return temporal.NewApplicationErrorWithOptions(event.Cut(err.Error(), maxText), event.FailureDeferred,
			temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{d}})
	}
	detail := event.Detail{Attempt: attempt, Tried: event.Tried(task.Tried, attempt, time.Now(), err.Error())}
	if r, ok := errors.AsType[reasoned](err); ok {
		detail.Reason = r.Reason()
	}
	if _, ok := errors.AsType[*destination.GivenUpError](err); ok {
		detail.Attempt-- // No attempt was made.
	}
	if p, ok := errors.AsType[*panicked](err); ok {
		detail.Stack = event.Cut(p.stack, maxText)
	}
	if e, ok := errors.AsType[*destination.Error](err); ok {
		detail.Answer = event.Cut(e.Answer, maxAnswers/max(len(t.targets), 1))
	}
	_, gone := errors.AsType[*goneError](err)
	retry := task.Route.Retry
	return temporal.NewApplicationErrorWithOptions(event.Cut(err.Error(), maxText), typeOf(err),
		temporal.ApplicationErrorOptions{
			NonRetryable: gone || handler.IsPermanent(err),
			// The delay that the other side asks for is the least one, so jitter must not shorten
			// it.
			NextRetryDelay: max(jitter(retry.Wait(attempt), retry.Jitter), handler.Hint(err)),
			Details:        []any{detail},
		})
}

// deferral gives until when an event waits, if err is a deferral.
func deferral(err error, attempt int) (d event.Detail, ok bool) {
	d.Attempt = attempt - 1
	if wait, ok := errors.AsType[*destination.Deferred](err); ok {
		d.Until, d.Slot, d.Why = wait.Until, wait.Slot, wait.Why
		return d, true
	}
	if by, ok := handler.Deferral(err); ok {
		// Up to a tenth is added at random, so that events that were deferred together come back
		// spread out.
		by += time.Duration(float64(by) / 10 * rand.Float64()) //nolint:gosec // G404: nobody gains by guessing it.
		d.Until = time.Now().Add(by)
		return d, true
	}
	return d, false
}

// jitter makes d longer or shorter at random, by up to the given part of it.
func jitter(d time.Duration, part float64) time.Duration {
	return max(d+time.Duration(float64(d)*part*(2*rand.Float64()-1)), time.Millisecond) //nolint:gosec // G404: nobody gains by guessing it.
}

// typeOf names the kind of an error for people: its Go type, if that says anything.
func typeOf(err error) string {
	var p *panicked
	var g *goneError
	switch {
	case errors.As(err, &p):
		return event.FailurePanic
	case errors.As(err, &g):
		return event.FailureGone
	case errors.Is(err, context.DeadlineExceeded):
		return event.FailureTimeout
	}
	for ; err != nil; err = errors.Unwrap(err) {
		name := strings.TrimPrefix(fmt.Sprintf("%T", err), "*")
		switch name {
		case "errors.errorString", "errors.joinError", "fmt.wrapError", "fmt.wrapErrors",
			"handler.permanent", "handler.retryAfter":
		default:
			return name
		}
	}
	return "Error"
}
