package destination

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/grapnel/grapnel/internal/event"
)

// Deferred is an event that has to wait for its destination. No attempt was made,
// or one that tried out whether the destination is back; none is used up.
type Deferred struct {
	// Destination is the name of the route.
	Destination string
	// Until is when the event may ask again. Events that wait are given times
	// one after the other, so that they don't come back as a herd.
	Until time.Time
	// Slot is set when Until is a place in the destination's rate, which is kept
	// for this event.
	Slot bool
	// Why is the sort of reason, for metrics: circuit, rate, concurrency, paused.
	Why string
	// Reason is the reason for people.
	Reason string
}

// Error says what the event waits for.
func (d *Deferred) Error() string {
	return fmt.Sprintf("destination %s: waits until %s: %s", d.Destination, d.Until.UTC().Format(time.DateTime), d.Reason)
}

// The sorts of reason to wait.
const (
	// WhyCircuit is a circuit breaker that is open.
	WhyCircuit = event.WaitsForCircuit
	// WhyRate is a destination that was given as many events as its rate allows.
	WhyRate = "rate"
	// WhyConcurrency is a destination that has as many events in hand as it may.
	WhyConcurrency = "concurrency"
	// WhyPaused is a source or destination that somebody has paused.
	WhyPaused = "paused"
)

// Limit bounds what a destination is given at once. 0 is no bound.
type Limit struct {
	// Concurrency is the most deliveries under way at once.
	Concurrency int `yaml:"concurrency"`
	// Rate is the most deliveries begun in a second.
	Rate float64 `yaml:"rate"`
}

// gate decides whether an event may go to its destination now. It belongs to the
// destination's name and outlives a reload.
type gate struct {
	name   string
	deps   Deps
	shared *Shared

	mu      sync.Mutex
	limit   Limit
	circuit *circuit
	// waiting gives times to the events that find no room.
	waiting timeSlots
	// paced is when the next event fits the rate.
	paced time.Time
	// busy holds when each delivery under way began.
	busy map[int]time.Time
	next int
	// took is how long a delivery takes, lately.
	took time.Duration
}

func newGate(name string, d Deps) *gate {
	return &gate{name: name, deps: d, shared: d.Shared, busy: map[int]time.Time{}}
}

// configure takes over what the configuration says now. A breaker whose settings
// have not changed stays in its state.
func (g *gate) configure(s *Spec) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = s.Limit
	switch {
	case s.Breaker.FailureRatio == 0:
		g.circuit = nil
	case g.circuit == nil || g.circuit.spec != s.Breaker:
		g.circuit = newCircuit(g.name, s.Breaker, g.circuit, g.deps)
	}
}

// permit is an event's leave to be delivered now.
type permit struct {
	gate  *gate
	began time.Time
	key   int
	lease string
	// tell tells the breaker how the delivery went; nil without one.
	tell func(error)
	// probe is set when the delivery tries out whether the destination is back.
	probe bool
	// circuit is the one that tell belongs to.
	circuit *circuit
}

// admit lets an event through that is not delivered here: only a pause and the rate
// hold it back.
func (g *gate) admit(slot time.Time) error {
	if until, why, paused := g.deps.Paused(g.name); paused {
		return &Deferred{Destination: g.name, Until: until, Why: WhyPaused, Reason: why}
	}
	g.mu.Lock()
	limit := g.limit
	g.mu.Unlock()
	if at, ok := g.fits(limit, slot, g.deps.Now()); !ok {
		return g.outOfRate(at, limit)
	}
	return nil
}

func (g *gate) outOfRate(at time.Time, l Limit) *Deferred {
	return &Deferred{
		Destination: g.name, Until: at, Slot: true, Why: WhyRate,
		Reason: fmt.Sprintf("its rate of %g a second is used up", l.Rate),
	}
}

// enter lets an event through or says until when it waits. slot is the place in
// the rate that the event was given when it last asked; zero without one.
func (g *gate) enter(slot time.Time) (*permit, error) {
	if until, why, paused := g.deps.Paused(g.name); paused {
		return nil, &Deferred{Destination: g.name, Until: until, Why: WhyPaused, Reason: why}
	}
	now := g.deps.Now()
	g.mu.Lock()
	circuit, limit := g.circuit, g.limit
	g.mu.Unlock()
	if circuit != nil {
		if until, why := circuit.closedUntil(now); !until.IsZero() {
			return nil, g.defers(WhyCircuit, until, circuit.slot(until, g.gap(limit), false), why)
		}
	}
	if at, ok := g.fits(limit, slot, now); !ok {
		return nil, g.outOfRate(at, limit)
	}
	p, ok := g.begin(limit, now)
	if !ok {
		return nil, g.defers(WhyConcurrency, now, g.room(limit, now), fmt.Sprintf("%d deliveries are under way", limit.Concurrency))
	}
	if circuit == nil {
		return p, nil
	}
	tell, probe, err := circuit.allow()
	if err != nil {
		p.end()
		until, why := circuit.closedUntil(now)
		if until.IsZero() {
			until, why = now, "it is being tried out by other events"
		}
		return nil, g.defers(WhyCircuit, until, circuit.slot(until, g.gap(limit), true), why)
	}
	p.tell, p.probe, p.circuit = tell, probe, circuit
	return p, nil
}

func (g *gate) defers(why string, from, until time.Time, reason string) *Deferred {
	if until.Before(from) {
		until = from
	}
	return &Deferred{Destination: g.name, Until: until, Why: why, Reason: reason}
}

// leave ends a delivery. A delivery that tried the destination out and found it
// still down uses up no attempt: its error becomes a deferral.
func (p *permit) leave(err error) error {
	g := p.gate
	p.end()
	if p.tell == nil {
		return err
	}
	p.tell(err)
	if !p.probe || !countsAsFailure(err) {
		return err
	}
	g.mu.Lock()
	limit := g.limit
	g.mu.Unlock()
	now := g.deps.Now()
	until, _ := p.circuit.closedUntil(now)
	if until.IsZero() {
		until = now
	}
	return g.defers(WhyCircuit, until, p.circuit.slot(until, g.gap(limit), true), "it was tried out: "+err.Error())
}

// begin counts a delivery in if there is room for it.
func (g *gate) begin(l Limit, now time.Time) (*permit, bool) {
	p := &permit{gate: g, began: now}
	if l.Concurrency > 0 && g.shared != nil {
		lease, ok, known := g.shared.acquire(g.name, l.Concurrency)
		if known && !ok {
			return nil, false
		}
		p.lease = lease
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.Concurrency > 0 && p.lease == "" && len(g.busy) >= l.Concurrency {
		return nil, false
	}
	g.next++
	p.key = g.next
	g.busy[p.key] = now
	return p, true
}

// end counts a delivery out.
func (p *permit) end() {
	g := p.gate
	if p.lease != "" {
		g.shared.release(g.name, p.lease)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.busy, p.key)
	took := g.deps.Now().Sub(p.began)
	if g.took == 0 {
		g.took = took
	}
	g.took += (took - g.took) / 5
}

// The times that waiting events are given.
const (
	// minRoom is the shortest wait for room: a wait costs Temporal more than a
	// quick delivery does.
	minRoom = 500 * time.Millisecond
	// minGap keeps events that waited apart when their destination is back, and leaves
	// Temporal room for others while it is not: every event that asks again costs it a
	// workflow task.
	minGap = 50 * time.Millisecond
	// maxGap is the longest gap that is guessed from how long deliveries take.
	maxGap = 5 * time.Second
)

// gap is what lies between two events that waited for the destination itself.
func (g *gate) gap(l Limit) time.Duration {
	if l.Rate > 0 {
		return max(minGap, time.Duration(float64(time.Second)/l.Rate))
	}
	return minGap
}

// room is when an event that finds no room may ask again: as many waiting events
// are let in at once as deliveries end in that time.
func (g *gate) room(l Limit, now time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	took := g.took
	for _, began := range g.busy {
		took = max(took, now.Sub(began)) // A delivery that hangs is known by its age.
	}
	gap := min(max(took/time.Duration(max(l.Concurrency, 1)), time.Millisecond), maxGap)
	return g.waiting.take(now.Add(max(gap, minRoom)), gap)
}

// fits takes a place in the rate. ok is false when the place is later than now;
// it is kept for the event.
func (g *gate) fits(l Limit, slot, now time.Time) (at time.Time, ok bool) {
	const (
		early = 100 * time.Millisecond // Clocks of several machines differ.
		stale = 30 * time.Second
	)
	if l.Rate <= 0 || (!slot.IsZero() && now.After(slot.Add(-early)) && now.Before(slot.Add(stale))) {
		return now, true
	}
	gap := time.Duration(float64(time.Second) / l.Rate)
	burst := time.Duration(max(l.Rate/10, 1)-1) * gap
	if g.shared != nil {
		if wait, known := g.shared.reserve(g.name, gap, burst); known {
			return now.Add(wait), wait <= 0
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if earliest := now.Add(-burst); g.paced.Before(earliest) {
		g.paced = earliest
	}
	at = g.paced
	g.paced = g.paced.Add(gap)
	return at, !at.After(now)
}

// timeSlots gives out times, one after the other.
type timeSlots struct{ next time.Time }

// take gives the next time that is not before from.
func (s *timeSlots) take(from time.Time, gap time.Duration) time.Time {
	if s.next.Before(from) {
		s.next = from
	}
	at := s.next
	s.next = at.Add(gap)
	return at
}

// calledOff tells whether a delivery was ended by us, or not begun, which says
// nothing of the destination.
func calledOff(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Canceled || e.Unsent)
}

// countsAsFailure tells whether a delivery's error says that the destination is
// not well. A permanent one says that it is well enough to refuse.
func countsAsFailure(err error) bool {
	var e *Error
	return errors.As(err, &e) && !e.Permanent && !e.Canceled && !e.Well
}
