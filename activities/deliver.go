package activities

import (
	"context"
	"errors"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
)

// deliverTo makes the function that delivers to a destination. It reports a failure as a handler
// does: whether there is to be another attempt, and when.
func deliverTo(d *destination.Destination) func(context.Context, event.Task, int, []byte) error {
	return func(ctx context.Context, t event.Task, attempt int, body []byte) error {
		err := d.Deliver(ctx, destination.Delivery{Event: t.Event, Body: body, Attempt: attempt, Slot: t.Slot, Shut: t.Shut})
		var refused *destination.Error
		var givenUp *destination.GivenUpError
		switch {
		case errors.As(err, &givenUp):
			return handler.Permanent(err)
		case !errors.As(err, &refused):
			return err
		case refused.Permanent:
			return handler.Permanent(err)
		default:
			return handler.RetryAfter(refused.RetryAfter, err)
		}
	}
}
