package destination

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/grapnel/grapnel/internal/event"
)

// Deferred says that an event has to wait for its destination. No attempt was made, or only one
// to find out whether the destination is back; either way none is used up.
type Deferred struct {
	// Destination is the name of the route.
	Destination string
	// Until is when the event may ask again. Waiting events are given different times, so that
	// they don't all come back at once.
	Until time.Time
	// Slot is set when the destination's rate limit has reserved Until for this event.
	Slot bool
	// Why names the cause for metrics: circuit, rate, concurrency or paused.
	Why string
	// Reason explains the wait to people.
	Reason string
}

// Error says what the event waits for.
func (d *Deferred) Error() string {
	return fmt.Sprintf("destination %s: waits until %s: %s", d.Destination, d.Until.UTC().Format(time.DateTime), d.Reason)
}

// The values of Why.
const (
	// WhyCircuit says that the destination's circuit breaker is open.
	WhyCircuit = event.WaitsForCircuit
	// WhyRate says that the destination has been given as many events as its rate allows.
	WhyRate = "rate"
	// WhyConcurrency says that as many deliveries are under way as the destination allows.
	WhyConcurrency = "concurrency"
	// WhyPaused says that somebody has paused the source or the destination.
	WhyPaused = "paused"
)

// Limit bounds how many deliveries a destination gets. 0 is no bound.
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
	// waiting gives out the times at which events that found no room ask again.
	waiting timeSlots
	// paced is the next time that fits the rate.
	paced time.Time
	// busy holds the deliveries under way and when each began.
	busy map[int]time.Time
	next int
	// took is how long recent deliveries took on average.
	took time.Duration
}

func newGate(name string, d Deps) *gate {
	return &gate{name: name, deps: d, shared: d.Shared, busy: map[int]time.Time{}}
}

// configure takes over the settings of a new configuration. A breaker whose settings have not
// changed keeps its state.
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

// permit allows an event to be delivered now. Its holder calls leave once, at the end.
type permit struct {
	gate  *gate
	began time.Time
	key   int
	lease string
	// tell reports the result of the delivery to the breaker; nil without a breaker.
	tell func(error)
	// probe is set when the delivery is to find out whether the destination is back.
	probe bool
	// circuit is the breaker that tell reports to.
	circuit *circuit
}

// admit decides about an event that another worker delivers: only a pause and the rate can hold
// it back here.
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

// enter gives an event its permit, or says by a *Deferred until when it waits. slot is the time
// that was reserved for the event when it last asked; zero if none was.
func (g *gate) enter(slot time.Time) (*permit, error) {
	if until, why, paused := g.deps.Paused(g.name); paused {
		return nil, &Deferred{Destination: g.name, Until: until, Why: WhyPaused, Reason: why}
	}
	now := g.deps.Now()
	g.mu.Lock()
	circuit, limit := g.circuit, g.limit
	g.mu.Unlock()
	if circuit != nil {
		if until, why := circuit.openUntil(now); !until.IsZero() {
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
		until, why := circuit.openUntil(now)
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

// leave ends a delivery. When the delivery was to find out whether the destination is back, and
// it is not, no attempt is used up: the error becomes a deferral.
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
	until, _ := p.circuit.openUntil(now)
	if until.IsZero() {
		until = now
	}
	return g.defers(WhyCircuit, until, p.circuit.slot(until, g.gap(limit), true), "it was tried out: "+err.Error())
}

// begin counts a delivery as under way, if the limit leaves room for it.
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

// end takes the delivery out of that count.
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

// Bounds of the waiting times that events are given.
const (
	// minRoom is the shortest wait for room. A wait costs Temporal more work than a quick
	// delivery does.
	minRoom = 500 * time.Millisecond
	// minGap is the least time between two waiting events. It spreads them when the destination
	// is back, and spares Temporal while it is not: every event that asks again costs a workflow
	// task.
	minGap = 50 * time.Millisecond
	// maxGap is the most that is put between two events because deliveries are slow.
	maxGap = 5 * time.Second
)

// gap is the time between two events that wait for the destination to come back.
func (g *gate) gap(l Limit) time.Duration {
	if l.Rate > 0 {
		return max(minGap, time.Duration(float64(time.Second)/l.Rate))
	}
	return minGap
}

// room gives the time at which an event that found no room may ask again. It lets in as many
// waiting events as deliveries are expected to end until then.
func (g *gate) room(l Limit, now time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	took := g.took
	for _, began := range g.busy {
		took = max(took, now.Sub(began)) // A delivery that hangs has not ended, so only its age tells.
	}
	gap := min(max(took/time.Duration(max(l.Concurrency, 1)), time.Millisecond), maxGap)
	return g.waiting.take(now.Add(max(gap, minRoom)), gap)
}

// fits reserves a time in the rate. ok is false when that time is still to come; the event keeps
// the reservation.
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

// timeSlots gives out times, each later than the last.
type timeSlots struct{ next time.Time }

// take gives the next free time that is not before from.
func (s *timeSlots) take(from time.Time, gap time.Duration) time.Time {
	if s.next.Before(from) {
		s.next = from
	}
	at := s.next
	s.next = at.Add(gap)
	return at
}

// calledOff tells whether we ended a delivery or never began it. Such an error says nothing about
// the destination.
func calledOff(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Canceled || e.Unsent)
}

// countsAsFailure tells whether a delivery's error means that the destination is not well. A
// permanent error does not: the destination was well enough to refuse the event.
func countsAsFailure(err error) bool {
	var e *Error
	return errors.As(err, &e) && !e.Permanent && !e.Canceled && !e.Well
}
