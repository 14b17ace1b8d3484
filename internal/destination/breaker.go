package destination

import (
	"fmt"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/grapnel/grapnel/internal/event"
)

// Breaker says when a destination is left alone for a while.
type Breaker struct {
	// FailureRatio is the share of failed deliveries from which the circuit
	// opens; 0 is no breaker.
	FailureRatio float64 `yaml:"failure_ratio"`
	// MinCalls is how many deliveries the share is made of at least.
	MinCalls int `yaml:"min_calls"`
	// Window is the time in which they are counted.
	Window time.Duration `yaml:"window"`
	// Open is how long the circuit is open at first. It grows to a quarter of the time
	// that the destination has been away, up to MaxOpen.
	Open time.Duration `yaml:"open"`
	// MaxOpen is the longest that the circuit is open.
	MaxOpen time.Duration `yaml:"max_open"`
	// Probes is how many deliveries try the destination out, and have to succeed
	// before the others follow.
	Probes int `yaml:"probes"`
	// GiveUpAfter is how long an event waits for the circuit alone; one that has waited
	// longer is a dead letter. 0 is for ever. A pause, or a limit that is used up, does not
	// count.
	GiveUpAfter time.Duration `yaml:"give_up_after"`
}

// SetDefaults fills in what holds when a key is not given.
func (b *Breaker) SetDefaults() {
	*b = Breaker{
		FailureRatio: 0.5, MinCalls: 10, Window: 30 * time.Second, Open: 30 * time.Second, MaxOpen: 5 * time.Minute, Probes: 3,
		GiveUpAfter: 72 * time.Hour,
	}
}

func (b *Breaker) check(r Report) {
	if b.FailureRatio < 0 || b.FailureRatio > 1 {
		r.Fault("breaker.failure_ratio", "must be from 0 to 1, the share of deliveries that fail; 0 is no breaker")
	}
	r.Count("breaker.min_calls", b.MinCalls, 1, 100_000)
	r.Duration("breaker.window", b.Window, time.Second, time.Hour)
	r.Duration("breaker.open", b.Open, shortestDelay, time.Hour)
	if r.Given("breaker.open") && !r.Given("breaker.max_open") {
		b.MaxOpen = max(b.MaxOpen, b.Open)
	}
	r.Duration("breaker.max_open", b.MaxOpen, b.Open, time.Hour)
	r.Count("breaker.probes", b.Probes, 1, 100)
	if b.GiveUpAfter != 0 {
		r.Duration("breaker.give_up_after", b.GiveUpAfter, b.MaxOpen, 365*24*time.Hour)
	}
}

// circuit is the circuit breaker of one destination. The library decides whether
// the circuit is open. Added are an open time that grows, and a time to ask again for every event
// that waits: the first of them try the destination out.
type circuit struct {
	name    string
	spec    Breaker
	deps    Deps
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]

	mu sync.Mutex
	// openings counts how often the circuit has opened since it was closed.
	openings int
	// until is when the circuit may be tried; zero while it is closed.
	until time.Time
	since time.Time
	// reason is the last failure.
	reason string
	// trying is how many events were given the first place after until.
	trying  int
	waiting timeSlots
}

// windowParts is into how many parts the window is divided.
const windowParts = 10

// newCircuit makes a breaker; one that takes the place of an open one is open as
// long.
func newCircuit(name string, spec Breaker, before *circuit, d Deps) *circuit {
	c := &circuit{name: name, spec: spec, deps: d}
	c.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         name,
		MaxRequests:  uint32(max(spec.Probes, 1)), //nolint:gosec // G115: a checked setting.
		Interval:     spec.Window,
		BucketPeriod: spec.Window / windowParts,
		Timeout:      spec.Open,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			// Deliveries that are under way have no outcome yet.
			ended := n.TotalSuccesses + n.TotalFailures
			return int(ended) >= spec.MinCalls && float64(n.TotalFailures) >= spec.FailureRatio*float64(ended)
		},
		IsSuccessful:  func(err error) bool { return !countsAsFailure(err) },
		IsExcluded:    calledOff,
		OnStateChange: c.changed,
	})
	if before != nil {
		before.mu.Lock()
		defer before.mu.Unlock()
		c.openings, c.until, c.since, c.reason, c.waiting = before.openings, before.until, before.since, before.reason, before.waiting
	}
	return c
}

// closedUntil is until when the circuit is open, and why; zero when it is not.
func (c *circuit) closedUntil(now time.Time) (time.Time, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Before(c.until) {
		return time.Time{}, ""
	}
	return c.until, "circuit open: " + c.reason
}

// allow asks the breaker for a delivery.
func (c *circuit) allow() (tell func(error), probe bool, err error) {
	done, err := c.breaker.Allow()
	if err != nil {
		return nil, false, err
	}
	return func(err error) {
		if countsAsFailure(err) {
			c.mu.Lock()
			c.reason = event.Clean(err.Error(), maxReason)
			c.mu.Unlock()
		}
		done(err)
	}, c.breaker.State() == gobreaker.StateHalfOpen, nil
}

// maxReason is how much of an error the reason of a wait quotes.
const maxReason = 160

// probeTime is what the deliveries that try a destination out are given before
// the others follow.
const probeTime = time.Second

// slot is when an event that waits for the circuit may ask again. The first events may as soon as
// the open time ends, and so try the destination out. An event that has just done so in vain gets
// a later time: otherwise one that the destination can never take would be the only one to try.
func (c *circuit) slot(until time.Time, gap time.Duration, tried bool) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !tried && c.trying < c.spec.Probes {
		c.trying++
		return until
	}
	return c.waiting.take(until.Add(probeTime), gap)
}

// changed is called by the breaker at each change of its state.
func (c *circuit) changed(_ string, from, to gobreaker.State) {
	now := c.deps.Now()
	c.mu.Lock()
	switch to {
	case gobreaker.StateOpen:
		if c.since.IsZero() {
			c.since = now
		}
		// A destination that is back is found out after a part of its absence, so that
		// a short one does not cost its events a long wait.
		open := min(max(c.spec.Open, now.Sub(c.since)/4), c.spec.MaxOpen)
		c.openings++
		c.until, c.trying = now.Add(open), 0
		c.waiting = timeSlots{}
	case gobreaker.StateClosed:
		c.openings, c.until, c.since = 0, time.Time{}, time.Time{}
	case gobreaker.StateHalfOpen:
	}
	change := Change{Destination: c.name, From: from.String(), To: to.String(), Until: c.until, Reason: c.reason}
	c.mu.Unlock()
	c.deps.Observer.Changed(change)
}

// Change is a transition of a circuit breaker.
type Change struct {
	Destination, From, To string
	// Until is when an open circuit is tried.
	Until time.Time
	// Reason is the failure that opened it.
	Reason string
}

// String is one line for a log.
func (c Change) String() string {
	s := fmt.Sprintf("circuit of destination %s: %s to %s", c.Destination, c.From, c.To)
	if c.To == gobreaker.StateOpen.String() {
		s += fmt.Sprintf(" until %s after %s", c.Until.UTC().Format(time.DateTime), c.Reason)
	}
	return s
}

// GivenUpError is an event that has waited for an open circuit as long as the
// configuration lets it. No attempt was used up.
type GivenUpError struct {
	// Destination is the name of the route.
	Destination string
	// After is how long that is.
	After time.Duration
	// Why is the reason of its last wait.
	Why string
}

// Error is one sentence for the dead letter.
func (g *GivenUpError) Error() string {
	return fmt.Sprintf("destination %s: given up, it was away for more than %s: %s", g.Destination, g.After, g.Why)
}

// Reason is the kind of the failure, the same for every event that it befalls.
func (g *GivenUpError) Reason() string { return "given up: the circuit stayed open" }
