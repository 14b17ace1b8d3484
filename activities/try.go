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
	"github.com/grapnel/grapnel/internal/event"
)

// Try makes one attempt at a route, whichever it is. The error it ends with
// names its attempt and when the next one is due.
func (a *Activities) Try(ctx context.Context, t event.Task, body converter.RawValue) error {
	attempt := t.Before + int(activity.GetInfo(ctx).Attempt)
	target, ok := a.table.Load().target(t.Route.Name)
	if !ok {
		return failed(t, attempt, fmt.Errorf("this worker has no route %s", t.Route.Name))
	}
	ctx, cancel := context.WithTimeout(ctx, t.Route.Timeout)
	defer cancel()
	return failed(t, attempt, safely(func() error {
		return target.run(ctx, t.Event, attempt, body.Payload().GetData())
	}))
}

// panicked is a handler's panic as an error.
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

// maxText is the length in bytes of a message or a stack, of which a workflow
// task may have to carry one for each route.
const maxText = 8 << 10

// reasoned is an error that names its kind, by which dead letters are grouped.
type reasoned interface {
	error
	Reason() string
}

// failed is the error of an attempt as the engine takes it.
func failed(t event.Task, attempt int, err error) error {
	if err == nil {
		return nil
	}
	detail := event.Detail{Attempt: attempt}
	if r, ok := errors.AsType[reasoned](err); ok {
		detail.Reason = r.Reason()
	}
	if p, ok := errors.AsType[*panicked](err); ok {
		detail.Stack = event.Cut(p.stack, maxText)
	}
	return temporal.NewApplicationErrorWithOptions(event.Cut(err.Error(), maxText), typeOf(err),
		temporal.ApplicationErrorOptions{
			NonRetryable: handler.IsPermanent(err),
			// What the other side asks for is the least, so jitter takes nothing off it.
			NextRetryDelay: max(jitter(t.Route.Retry.Wait(attempt), t.Route.Retry.Jitter), handler.Hint(err)),
			Details:        []any{detail},
		})
}

// jitter spreads d evenly over a part of it to either side.
func jitter(d time.Duration, part float64) time.Duration {
	return max(d+time.Duration(float64(d)*part*(2*rand.Float64()-1)), time.Millisecond) //nolint:gosec // G404: nobody gains by guessing it.
}

// typeOf names the kind of an error for people: its Go type, where that says
// anything.
func typeOf(err error) string {
	var p *panicked
	switch {
	case errors.As(err, &p):
		return event.FailurePanic
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
