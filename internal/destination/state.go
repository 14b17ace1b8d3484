package destination

import (
	"time"

	"github.com/sony/gobreaker/v2"
)

// State is what a process knows of one of its destinations now.
type State struct {
	Name string `json:"name"`
	// Kind is the destination's kind, Target says where its events go, without secrets.
	Kind   string   `json:"kind"`
	Target string   `json:"target"`
	Events []string `json:"events"`
	// Circuit is the state of the breaker: closed, open or half-open, off without a breaker,
	// unknown in a process without a worker.
	Circuit string `json:"circuit" enum:"closed,open,half-open,off,unknown"`
	// Since is when the circuit opened, Until when the destination is tried again, Openings how
	// often the circuit has opened since it was closed, and Reason the last failure.
	Since    time.Time `json:"since,omitzero"`
	Until    time.Time `json:"until,omitzero"`
	Openings int       `json:"openings,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	// Busy is the number of deliveries under way, Took how long recent ones took on average.
	Busy int           `json:"busy"`
	Took time.Duration `json:"took_ns"`
	// Concurrency and Rate are the destination's limits; 0 is no limit.
	Concurrency int     `json:"concurrency,omitempty"`
	Rate        float64 `json:"rate,omitempty"`
}

// State gives the destination's state now.
func (d *Destination) State() State {
	g := d.gate
	s := State{
		Name: d.Name(), Kind: d.Spec.Kind(), Target: d.Target(), Events: d.Spec.Events, Circuit: "off",
	}
	g.mu.Lock()
	s.Busy, s.Took, s.Concurrency, s.Rate = len(g.busy), g.took, g.limit.Concurrency, g.limit.Rate
	c := g.circuit
	g.mu.Unlock()
	if c != nil {
		c.describe(&s)
	}
	return s
}

func (c *circuit) describe(s *State) {
	state := c.breaker.State()
	now := c.deps.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Since, s.Until, s.Openings = c.since, c.until, c.openings
	if now.Before(c.until) {
		state = gobreaker.StateOpen // The library does not know of the open time that grows.
	}
	s.Circuit = state.String()
	if state != gobreaker.StateClosed {
		s.Reason = c.reason
	}
}

// States are the states of all destinations in force, by name.
func (s *Set) States() []State {
	var all []State
	for _, d := range s.All() {
		all = append(all, d.State())
	}
	return all
}
