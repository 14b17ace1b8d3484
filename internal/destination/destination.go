// Package destination delivers events to the targets that the configuration names. Each kind of
// target has a file of its own. The http kind posts the body as the sender sent it, signed as
// Standard Webhooks says, and never to an address inside our own network unless the configuration
// allows that address.
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
	// Attempt is the number of this attempt among all attempts at the route; the first is 1.
	Attempt int
	// Slot is the time that the destination's rate limit reserved for the event when it was last
	// deferred; zero if none was.
	Slot time.Time
	// Shut is the time since when the event has waited for nothing but the circuit breaker; zero
	// if it has not.
	Shut time.Time
	// Shape is what the configuration's transform makes of the event; nil sends the event as it
	// came.
	Shape *Shape
}

// Shape replaces parts of what is sent.
type Shape struct {
	// Body and ContentType replace the event's own unless Body is nil.
	Body        []byte
	ContentType string
	// Header holds headers that are added.
	Header http.Header
}

// header gives the headers that a shape adds; a nil shape adds none.
func (s *Shape) header() http.Header {
	if s == nil {
		return nil
	}
	return s.Header
}

// outgoing gives the event and the body to send, after the shape is applied: the event's content
// type is that of this body.
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
	// Route completes the route that the plan of an event holds: which activity runs it, on which
	// task queue, and how long one attempt may take.
	Route(*event.Route)
	// Deliver makes one attempt. It returns nil when the target has taken the event, and
	// otherwise an *Error that says when to try again.
	Deliver(context.Context, Delivery) error
	// Target says to people where events go, without secrets.
	Target() string
	// Close lets go of what is idle. Deliveries under way go on.
	Close()
}

// Deps are the things that kinds need to work. The zero value is enough to check a Spec.
type Deps struct {
	// Resolver looks host names up; nil uses the system's.
	Resolver *net.Resolver
	// Dial replaces the guarded dial. Only tests set it.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Observer is told what becomes of deliveries; may be nil.
	Observer Observer
	// Temporal and Namespace hold the workflows that events start, signal or update. Without
	// Temporal no workflow destination can be made.
	Temporal  workflowservice.WorkflowServiceClient
	Namespace string
	// Paused tells whether a destination is paused, why, and until when an event that meets it
	// waits. Nil means that none ever is.
	Paused func(name string) (until time.Time, reason string, paused bool)
	// Shared counts limits over all workers; nil counts them for this worker alone.
	Shared *Shared
}

// Observer is told what becomes of deliveries.
type Observer interface {
	// Deferred tells of an event that has to wait.
	Deferred(*Deferred)
	// Changed tells of a change of a circuit breaker.
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
	// when and shape are nil where the configuration has no condition, and no transform.
	when  *expression.Program
	shape *transformer
}

// New makes a destination. Its error lists everything that is wrong with the Spec, and holds no
// secret.
func New(s *Spec, d Deps) (*Destination, error) {
	d = d.complete()
	g := newGate(s.Name, d)
	g.configure(s)
	return openDestination(s, d, g)
}

// openDestination makes a destination that uses the gate kept for its name.
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

// Route gives the route that stands for the destination in the plan of an event.
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

// Wants tells whether the destination's condition holds for an event. An error means that the
// condition could not be evaluated: the event lacks what the condition looks at, or is too large
// for it.
func (d *Destination) Wants(ctx context.Context, in *expression.Input) (bool, error) {
	if d.when == nil {
		return true, nil
	}
	return d.when.Holds(ctx, in)
}

// Deliver makes one attempt if the event may go now. It returns nil when the target has taken the
// event, a *Deferred when the event has to wait (no attempt is used up), a *GivenUpError when it
// has waited too long, and otherwise an *Error that says when to try again.
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

// attempt applies the transform and makes the attempt.
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

// Admit asks whether an event may go now to a destination whose deliveries another worker makes.
// It returns nil, or a *Deferred that says until when the event waits.
func (d *Destination) Admit(slot time.Time) error {
	err := d.gate.admit(slot)
	if wait, ok := errors.AsType[*Deferred](err); ok {
		d.deps.Observer.Deferred(wait)
	}
	return err
}

// Close lets go of what is idle. Deliveries under way go on.
func (d *Destination) Close() { d.kind.Close() }
