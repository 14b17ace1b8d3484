// Package destination takes events to the targets that the configuration names.
// A target is of one kind, and each kind is in a file of its own: http posts the
// body as its sender wrote it, signed by Standard Webhooks, and never to an
// address inside our own network unless the configuration says so.
package destination

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/expression"
)

// Delivery is one attempt to take an event to a destination.
type Delivery struct {
	// Event is the event without its body.
	Event event.Event
	// Body is the body exactly as the sender sent it.
	Body []byte
	// Attempt counts from 1 over all attempts at this route.
	Attempt int
	// Slot is the place in the destination's rate that the event was given when
	// it was last deferred; zero without one.
	Slot time.Time
	// Shut is since when the event has waited for nothing but the circuit; zero while
	// it has not.
	Shut time.Time
	// Shape is what the configuration makes of it; nil leaves it as it is.
	Shape *Shape
}

// Shape is what goes out in the place of an event as it came.
type Shape struct {
	// Body and ContentType take the place of the event's, where Body is not nil.
	Body        []byte
	ContentType string
	// Header is added.
	Header http.Header
}

// header is what a shape adds; a nil one adds nothing.
func (s *Shape) header() http.Header {
	if s == nil {
		return nil
	}
	return s.Header
}

// outgoing is what goes out: the event as it says what its body is, and the body.
func (d Delivery) outgoing() (event.Event, []byte) {
	if d.Shape == nil || d.Shape.Body == nil {
		return d.Event, d.Body
	}
	e := d.Event
	e.DataContentType, e.DataContentEncoding = d.Shape.ContentType, ""
	return e, d.Shape.Body
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
	// Dial connects in the place of the guarded dial; nil in all but tests.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Observer hears what becomes of deliveries; nil is nobody.
	Observer Observer
	// Temporal is where the workflows are that events start, signal or update, in
	// Namespace. Without it there are none.
	Temporal  workflowservice.WorkflowServiceClient
	Namespace string
	// Paused is until when an event waits that meets a paused destination, and why;
	// nil is never.
	Paused func(name string) (until time.Time, reason string, paused bool)
	// Shared counts limits over all workers; nil counts for this one.
	Shared *Shared
}

// Observer hears what becomes of deliveries.
type Observer interface {
	// Deferred is an event that has to wait.
	Deferred(*Deferred)
	// Changed is a transition of a circuit breaker.
	Changed(Change)
}

type noObserver struct{}

func (noObserver) Deferred(*Deferred) {}
func (noObserver) Changed(Change)     {}

func (d Deps) complete() Deps {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Paused == nil {
		d.Paused = func(string) (time.Time, string, bool) { return time.Time{}, "", false }
	}
	if d.Observer == nil {
		d.Observer = noObserver{}
	}
	return d
}

// Destination is a target that is ready for events. It is safe for concurrent
// use. Make one with New, or keep many over reloads with a Set.
type Destination struct {
	// Spec is what the configuration says of it.
	Spec *Spec

	kind Kind
	gate *gate
	deps Deps
	// when and shape are nil where the configuration has no such thing.
	when  *expression.Program
	shape *transformer
}

// New makes a destination, or says all that is wrong with what the configuration
// says of it. No message holds a secret.
func New(s *Spec, d Deps) (*Destination, error) {
	d = d.complete()
	g := newGate(s.Name, d)
	g.configure(s)
	return openDestination(s, d, g)
}

// openDestination makes a destination with the gate that its name has.
func openDestination(s *Spec, d Deps, g *gate) (*Destination, error) {
	_, spec := s.kind()
	if spec == nil {
		return nil, fmt.Errorf("destination %s: it says nothing of where events go", s.Name)
	}
	when, err := s.condition()
	if err != nil {
		return nil, fmt.Errorf("destination %s: when: %w", s.Name, err)
	}
	shape, err := s.Transform.compile()
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", s.Name, err)
	}
	k, err := spec.open(s, d)
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", s.Name, err)
	}
	return &Destination{Spec: s, kind: k, gate: g, deps: d, when: when, shape: shape}, nil
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

// Matches tells whether the destination takes events of such a source and type.
func (d *Destination) Matches(e event.Event) bool { return event.MatchAny(d.Spec.Events, e.Name()) }

// Conditional tells whether the destination takes only events for which a condition
// holds.
func (d *Destination) Conditional() bool { return d.when != nil }

// Wants tells whether the destination's condition holds for an event. An error is no
// answer: the event lacks what the condition looks at, or is too large for it.
func (d *Destination) Wants(ctx context.Context, in *expression.Input) (bool, error) {
	if d.when == nil {
		return true, nil
	}
	return d.when.Holds(ctx, in)
}

// Deliver makes one attempt, if the event may go now. Nil is a delivery that was
// taken. A *Deferred is an event that has to wait, without an attempt used up, and a
// *GivenUpError one that has waited too long; every other outcome is an *Error that
// says when to try again.
func (d *Destination) Deliver(ctx context.Context, one Delivery) error {
	p, err := d.gate.enter(one.Slot) //nolint:contextcheck // A limit outlives the delivery that asks for it.
	if err == nil {
		err = p.leave(d.attempt(ctx, one)) //nolint:contextcheck // As above.
	}
	if wait, ok := errors.AsType[*Deferred](err); ok {
		if most := d.Spec.Breaker.GiveUpAfter; wait.Why == WhyCircuit && most > 0 && !one.Shut.IsZero() && d.deps.Now().Sub(one.Shut) >= most {
			return &GivenUpError{Destination: d.Name(), After: most, Why: wait.Reason}
		}
		d.deps.Observer.Deferred(wait)
	}
	return err
}

// attempt shapes what goes out and makes the attempt.
func (d *Destination) attempt(ctx context.Context, one Delivery) error {
	one, err := d.shape.apply(ctx, one)
	if err != nil {
		if ctx.Err() != nil {
			return &Error{Destination: d.Name(), URL: d.Target(), Canceled: true, Err: ctx.Err()}
		}
		return &Error{Destination: d.Name(), URL: d.Target(), Permanent: true, Unsent: true, Err: err}
	}
	return d.kind.Deliver(ctx, one)
}

// Admit lets an event through to a destination that somebody else delivers to, or
// says by a *Deferred until when it waits.
func (d *Destination) Admit(slot time.Time) error {
	err := d.gate.admit(slot)
	if wait, ok := errors.AsType[*Deferred](err); ok {
		d.deps.Observer.Deferred(wait)
	}
	return err
}

// Close lets go of what is idle. Deliveries under way go on.
func (d *Destination) Close() { d.kind.Close() }
