package activities

import (
	"context"
	"errors"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
)

// deliver posts an event to its destination, and says of a failure what a
// handler would: whether another attempt can mend it, and when.
func (d Destination) deliver(ctx context.Context, e event.Event, attempt int, body []byte) error {
	err := d.HTTP.Deliver(ctx, e, body, attempt)
	var refused *destination.Error
	switch {
	case !errors.As(err, &refused):
		return err
	case refused.Permanent:
		return handler.Permanent(err)
	default:
		return handler.RetryAfter(refused.RetryAfter, err)
	}
}
