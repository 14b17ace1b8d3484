package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/sweep"
)

// longestWait is the longest rate limit for which the activity itself waits. For a longer one
// Temporal waits, which holds no worker.
const longestWait = 20 * time.Second

// refusedSweep is the type of the error that says that this worker can't make a sweep at all.
const refusedSweep = "Refused"

// Sweep asks a sender again for the events that it could not deliver. The longer an event has
// failed, the more rarely it is asked for.
func (a *Activities) Sweep(ctx context.Context, s event.Sweep) (event.Swept, error) {
	if a.Senders == nil {
		return event.Swept{}, temporal.NewNonRetryableApplicationError("this worker can't ask senders", refusedSweep, nil)
	}
	sender, err := a.Senders(s)
	if err != nil {
		return event.Swept{}, temporal.NewNonRetryableApplicationError(err.Error(), refusedSweep, err)
	}
	now := time.Now()
	r, err := sweep.Run(ctx, sender, sweep.Options{
		Since: now.Add(-s.Back), Due: now, LongestWait: longestWait, Alive: heartbeat(ctx),
	})
	swept := event.Swept{Failed: len(r.Failed), Asked: r.Asked}
	if limited, ok := errors.AsType[*sweep.LimitedError](err); ok {
		return swept, temporal.NewApplicationErrorWithOptions(err.Error(), "RateLimited",
			temporal.ApplicationErrorOptions{NextRetryDelay: limited.For})
	}
	if err != nil {
		return swept, err
	}
	activity.GetLogger(ctx).Info("swept", "sweep", s.Name, "failed", swept.Failed, "asked", swept.Asked)
	return swept, nil
}
