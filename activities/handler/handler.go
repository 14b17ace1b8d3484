// Package handler is what someone who adds an event type works with: a typed
// function is bound to a source and an event type in one line.
//
//	handler.On(t, "zoom", "meeting.started", a.MeetingStarted, handler.Attempts(5))
//
// A handler speaks by what it returns: nil is done, an error is tried again
// with exponential backoff, Permanent is not, and RetryAfter says when. A handler
// may see the same event more than once; Event.ID is its idempotency key.
package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grapnel/grapnel/internal/event"
)

// Event is an event as a handler receives it.
type Event[T any] struct {
	event.Event
	// Payload is the body, decoded.
	Payload T
	// Body is the body exactly as the sender sent it.
	Body []byte
	// Attempt counts from 1, over every attempt at this route.
	Attempt int
}

// Table holds the bindings of one worker. Its zero value is empty and ready.
type Table struct {
	bindings []Binding
}

// Binding is one handler with what it is bound to.
type Binding struct {
	// Name is stable: plans in flight and dead letters find the handler by it.
	// It is also the name of the activity, so it holds no dot.
	Name string
	// Source and Type are names, or patterns in which * stands for any text.
	Source, Type string
	// Options are the handler's own, or the defaults.
	Options Options
	// Run decodes the body and calls the handler.
	Run func(ctx context.Context, e event.Event, attempt int, body []byte) error
}

// On binds fn to the events of a source whose type matches. The body is decoded
// from JSON into T, for which a T of []byte or json.RawMessage is the body as it
// came; a body that can't be decoded is a permanent failure. The name of the
// binding is made of source and type ("zoom/meeting/started"): to rename either
// without losing what is in flight, keep the old one with Name. Two bindings of
// one name panic, at start.
func On[T any](t *Table, source, typ string, fn func(context.Context, Event[T]) error, opts ...Option) {
	b := Binding{Source: source, Type: typ, Options: Defaults()}
	for _, o := range opts {
		o(&b.Options)
	}
	if b.Name = b.Options.Name; b.Name == "" {
		b.Name = source + "/" + strings.ReplaceAll(typ, ".", "/")
	}
	b.Run = func(ctx context.Context, e event.Event, attempt int, body []byte) error {
		payload, err := decode[T](body)
		if err != nil {
			return Permanent(fmt.Errorf("the body of %s does not fit %T: %w", e.Name(), payload, err))
		}
		return fn(ctx, Event[T]{Event: e, Payload: payload, Body: body, Attempt: attempt})
	}
	t.add(b)
}

func decode[T any](body []byte) (payload T, err error) {
	switch p := any(&payload).(type) {
	case *[]byte:
		*p = body
	case *json.RawMessage:
		*p = body
	default:
		err = json.Unmarshal(body, &payload)
	}
	return payload, err
}

func (t *Table) add(b Binding) {
	switch {
	case strings.Contains(b.Name, "."):
		panic(fmt.Sprintf("handler: name %q holds a dot, which Temporal's replay can't tell apart", b.Name))
	case !strings.Contains(b.Name, "/"):
		panic(fmt.Sprintf("handler: name %q holds no slash, which tells handlers from destinations", b.Name))
	}
	if _, taken := t.Get(b.Name); taken {
		panic(fmt.Sprintf("handler: two bindings are named %q; give one of them another name with handler.Name", b.Name))
	}
	t.bindings = append(t.bindings, b)
}

// All lists the bindings in the order they were made.
func (t *Table) All() []Binding { return t.bindings }

// Get finds a binding by its name.
func (t *Table) Get(name string) (Binding, bool) {
	for _, b := range t.bindings {
		if b.Name == name {
			return b, true
		}
	}
	return Binding{}, false
}

// Matches tells whether the handler takes an event.
func (b Binding) Matches(e event.Event) bool {
	return event.Match(b.Source, e.Source) && event.Match(b.Type, e.Type)
}
