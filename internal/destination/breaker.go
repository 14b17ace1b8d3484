package destination

import (
	"fmt"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/grapnel/grapnel/internal/event"
)

// Breaker says after which failures a destination gets no deliveries for a while.
type Breaker struct {
	// FailureRatio is the share of failed deliveries at which the circuit opens. 0 turns the
	// breaker off.
	FailureRatio float64 `yaml:"failure_ratio"`
	// MinCalls is the least number of deliveries of which the share is taken.
	MinCalls int `yaml:"min_calls"`
	// Window is the time over which deliveries are counted.
	Window time.Duration `yaml:"window"`
	// Open is how long the circuit stays open the first time. While the destination stays away,
	// the time grows to a quarter of how long it has been away, up to MaxOpen.
	Open time.Duration `yaml:"open"`
	// MaxOpen is the longest time that the circuit stays open before the destination is tried
	// again.
	MaxOpen time.Duration `yaml:"max_open"`
	// Probes is how many deliveries have to succeed, after the circuit was open, before all
	// others follow.
	Probes int `yaml:"probes"`
	// GiveUpAfter is how long an event waits for an open circuit before it becomes a dead letter.
	// 0 is for ever. Time for which the destination is paused or at its limit does not count.
	GiveUpAfter time.Duration `yaml:"give_up_after"`
}

// SetDefaults sets the values of keys that the file does not give.
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

// circuit is the circuit breaker of one destination. The gobreaker library decides whether the
// circuit is open. This type adds an open time that grows, and gives each waiting event a time to
// ask again; the first ones to ask try the destination out.
type circuit struct {
	name    string
	spec    Breaker
	deps    Deps
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]

	mu sync.Mutex
	// openings counts how often the circuit has opened since it was closed.
	openings int
	// until is when the destination may be tried again; zero while the circuit is closed.
	until time.Time
	since time.Time
	// reason is the last failure.
	reason string
	// trying counts the events that were told to ask right after until.
	trying  int
	waiting timeSlots
}

// windowParts is the number of parts into which the window is divided.
const windowParts = 10

// newCircuit makes a breaker. Where it replaces an open one, because the settings changed, it
// starts open and stays so until the same time.
func newCircuit(name string, spec Breaker, before *circuit, d Deps) *circuit {
	c := &circuit{name: name, spec: spec, deps: d}
	c.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         name,
		MaxRequests:  uint32(max(spec.Probes, 1)), //nolint:gosec // G115: a checked setting.
		Interval:     spec.Window,
		BucketPeriod: spec.Window / windowParts,
		Timeout:      spec.Open,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			// Deliveries under way count neither as success nor as failure yet.
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

// openUntil gives until when the circuit is open, and why; zero when it is closed.
func (c *circuit) openUntil(now time.Time) (time.Time, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Before(c.until) {
		return time.Time{}, ""
	}
	return c.until, "circuit open: " + c.reason
}

// allow asks the breaker whether a delivery may be made. tell takes its result; probe is set when
// it tries the destination out.
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

// maxReason is how many characters of an error are quoted as the reason of a wait.
const maxReason = 160

// probeTime is how long the deliveries that try a destination out may take before the other
// waiting events ask again.
const probeTime = time.Second

// slot gives the time at which an event that waits for the circuit may ask again. The first
// events may ask as soon as the open time ends, and so try the destination out. An event that has
// just tried in vain gets a later time: otherwise an event that the destination can never take
// would be the only one to try.
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
		// A short absence must not cost events a long wait, so the wait is a quarter of the
		// absence.
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
	// Until is when a destination whose circuit is open is tried again.
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

// GivenUpError says that an event has waited for an open circuit for as long as give_up_after
// allows. No attempt was used up.
type GivenUpError struct {
	// Destination is the name of the route.
	Destination string
	// After is the time that give_up_after allows.
	After time.Duration
	// Why is the reason for which the event waited last.
	Why string
}

// Error is one sentence for the dead letter.
func (g *GivenUpError) Error() string {
	return fmt.Sprintf("destination %s: given up, it was away for more than %s: %s", g.Destination, g.After, g.Why)
}

// Reason names the kind of failure, by which dead letters are grouped: it is the same for every
// event that fails so.
func (g *GivenUpError) Reason() string { return "given up: the circuit stayed open" }
