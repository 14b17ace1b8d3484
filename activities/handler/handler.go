// Package handler is what handlers of events are written with. A handler is a
// typed function, bound to a source and an event type in one line:
//
//	func bind(t *handler.Table, d handler.Deps) {
//		handler.On(t, "stripe", "invoice.paid", invoicePaid, handler.Attempts(5))
//	}
//
//	func invoicePaid(ctx context.Context, e handler.Event[Invoice]) error
//
// A handler speaks by what it returns. Nil means done. An error is tried again
// with exponential backoff; RetryAfter also says when. Permanent makes the event
// a dead letter at once. Defer puts the event off without using up an attempt.
//
// A handler may see the same event more than once, for instance when its process
// was killed after the work and before the answer. Event.ID is the same each
// time: use it as the idempotency key of what the handler does.
//
// Package handlertest tests handlers.
package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"github.com/grapnel/grapnel/internal/event"
)

// Attributes describe an event; the names are those of CloudEvents 1.0:
//
//   - ID is grapnel's own, 64 hex digits, the same whenever the event comes again;
//     it is also the ID of the event's workflow
//   - Source is the name of the source in grapnel.yaml
//   - Type is what happened, in the sender's words
//   - SenderID is the sender's own ID of the event; empty where it sends none
//   - Subject is what the event is about, in the sender's words
//   - Time is when it happened by the sender's clock; zero where it does not say
//   - DataContentType is the media type of the body
//   - Received is when the receiver had read the body
type Attributes = event.Event

// Event is an event as its handler receives it.
type Event[T any] struct {
	Attributes
	// Payload is the body, decoded.
	Payload T
	// Body is the body exactly as the sender sent it.
	Body []byte
	// Attempt is the number of this attempt, counted from 1.
	Attempt int
}

// Bind is a function that binds the handlers of a program.
type Bind = func(t *Table, d Deps)

// Deps are what grapnel lends to handlers. They can be used once the program runs, but not yet
// while Bind is called.
type Deps struct {
	// Temporal is the Temporal that grapnel uses, for handlers that start or signal workflows of
	// their own.
	Temporal Temporal
	// TaskQueue is the task queue of grapnel's own workflows.
	TaskQueue string
	// Log writes to the log of the process.
	Log *slog.Logger
}

// On binds fn to the events of a source whose type matches. Source and type may
// be patterns, in which * stands for any text: "zoom", "meeting.*".
//
// The body is decoded from JSON into T. A body that does not fit is a permanent
// failure. Where T is []byte or json.RawMessage, the body is handed over as it
// came.
//
// Events under way and dead letters find their handler by the name of its
// binding, which is made of source and type: "stripe/invoice/paid". Whoever
// changes either keeps the old name with Name.
//
// A binding that can't be used, such as a second one of the same name, is
// reported by Table.Err, and keeps the program from starting.
func On[T any](t *Table, source, typ string, fn func(context.Context, Event[T]) error, opts ...Option) {
	b := Binding{Source: source, Type: typ, Options: Defaults(), At: caller()}
	for _, o := range opts {
		o(&b.Options)
	}
	if b.Name = b.Options.Name; b.Name == "" {
		b.Name = source + "/" + strings.ReplaceAll(typ, ".", "/")
	}
	if fn != nil {
		b.Run = func(ctx context.Context, e Attributes, attempt int, body []byte) error {
			payload, err := decode[T](e.DataContentType, body)
			if err != nil {
				return Permanent(fmt.Errorf("the body of %s does not fit %T: %w", e.Name(), payload, err))
			}
			return fn(ctx, Event[T]{Attributes: e, Payload: payload, Body: body, Attempt: attempt})
		}
	}
	t.add(b)
}

func decode[T any](contentType string, body []byte) (payload T, err error) {
	switch p := any(&payload).(type) {
	case *[]byte:
		*p = body
	case *json.RawMessage:
		*p = body
	default:
		err = json.Unmarshal(event.JSON(contentType, body), &payload)
	}
	return payload, err
}
