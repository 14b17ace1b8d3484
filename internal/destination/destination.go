// Package destination takes events to the targets that the configuration names.
// A target is of one kind, and each kind is in a file of its own: http posts the
// body as its sender wrote it, signed by Standard Webhooks, and never to an
// address inside our own network unless the configuration says so.
package destination

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/grapnel/grapnel/internal/event"
)

// Delivery is one attempt to take an event to a destination.
type Delivery struct {
	// Event is the event without its body.
	Event event.Event
	// Body is the body exactly as the sender sent it.
	Body []byte
	// Attempt counts from 1 over all attempts at this route.
	Attempt int
}

// Kind is one sort of target.
type Kind interface {
	// Route fills in what the plan of an event says of such a target: which
	// activity runs it, on which task queue, and how long one attempt may take.
	Route(*event.Route)
	// Deliver makes one attempt. Nil is a delivery that was taken; every other
	// outcome is an *Error that says when to try again.
	Deliver(context.Context, Delivery) error
	// Target is where events go, for people: it holds no secret.
	Target() string
	// Close lets go of what is idle. Deliveries under way go on.
	Close()
}

// Deps is what kinds work with. Its zero value is enough to check a Spec.
type Deps struct {
	// Resolver looks host names up; nil is the system's.
	Resolver *net.Resolver
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Destination is a target that is ready for events. It is safe for concurrent
// use. Make one with New, or keep many over reloads with a Set.
type Destination struct {
	// Spec is what the configuration says of it.
	Spec *Spec

	kind Kind
}

// New makes a destination, or says all that is wrong with what the configuration
// says of it. No message holds a secret.
func New(s *Spec, d Deps) (*Destination, error) {
	if d.Now == nil {
		d.Now = time.Now
	}
	_, spec := s.kind()
	if spec == nil {
		return nil, fmt.Errorf("destination %s: it says nothing of where events go", s.Name)
	}
	k, err := spec.open(s, d)
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", s.Name, err)
	}
	return &Destination{Spec: s, kind: k}, nil
}

// Name is the destination's name, which is also that of its route.
func (d *Destination) Name() string { return d.Spec.Name }

// Target is where its events go, for people.
func (d *Destination) Target() string { return d.kind.Target() }

// Route is the destination as the plan of an event names it.
func (d *Destination) Route() event.Route {
	r := event.Route{Name: d.Spec.Name, Activity: event.ActivityDeliver, Retry: d.Spec.Retry}
	d.kind.Route(&r)
	return r
}

// Matches tells whether the destination takes an event.
func (d *Destination) Matches(e event.Event) bool { return event.MatchAny(d.Spec.Events, e.Name()) }

// Deliver makes one attempt: see Kind.
func (d *Destination) Deliver(ctx context.Context, one Delivery) error {
	return d.kind.Deliver(ctx, one)
}

// Close lets go of what is idle. Deliveries under way go on.
func (d *Destination) Close() { d.kind.Close() }
