package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/pause"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// openDestinations makes the set of destinations and the board of pauses. It needs the client.
func (p *process) openDestinations() error {
	p.pauses = pause.New(pause.Options{Temporal: p.client, TaskQueue: p.env.TaskQueue})
	deps := destination.Deps{
		Temporal: p.client.WorkflowService(), Namespace: p.settings.Namespace,
		Paused: p.paused(event.PauseDestination), Observer: circuits{p.observer},
	}
	if p.config.RateStore.IsSet() {
		shared, err := destination.OpenShared(p.config.RateStore.Reveal())
		if err != nil {
			return err
		}
		deps.Shared = shared
	}
	p.destinations = destination.NewSet(deps)
	return nil
}

// paused returns a function that tells the worker whether a source or destination of this kind is
// paused, why, and when to ask again.
func (p *process) paused(kind string) func(name string) (time.Time, string, bool) {
	return func(name string) (time.Time, string, bool) {
		until, why, paused := p.pauses.Until(kind, name)
		return until, pause.Reason(kind, name, why), paused
	}
}

// pausesPart makes the part that keeps the board of pauses up to date.
func (p *process) pausesPart() part {
	return part{name: "pauses", run: func(ctx context.Context) error {
		p.pauses.Watch(ctx)
		return nil
	}}
}

// circuits observes circuit breakers: it logs and counts their transitions.
type circuits struct{ *observer }

// Changed implements destination.Observer.
func (c circuits) Changed(to destination.Change) {
	fields := []zap.Field{zap.String("destination", to.Destination), zap.String("from", to.From), zap.String("to", to.To)}
	if !to.Until.IsZero() {
		fields = append(fields, zap.Time("until", to.Until), zap.String("reason", to.Reason))
	}
	c.log.Warn("a circuit breaker has changed", fields...)
	c.metrics.CircuitChanged(to.Destination, to.To)
	c.flow.Shut(to.Destination, shutBy(to.To))
	if to.To == "closed" {
		c.proven.Store(to.Destination, true)
	}
}

// shutBy is the value of package series for a state of a circuit breaker.
func shutBy(circuit string) int {
	switch circuit {
	case "open":
		return series.ShutOpen
	case "half-open":
		return series.ShutTrying
	default:
		return series.ShutNot
	}
}

// Deferred implements destination.Observer.
func (c circuits) Deferred(d *destination.Deferred) { c.metrics.Deferred(d.Destination, d.Why) }

// endpoints makes the part of the REST API that shows, pauses and resumes sources and destinations.
func (p *process) endpoints(file *reloader) pause.Endpoints {
	return pause.Endpoints{
		Board:        p.pauses,
		Destinations: func() []destination.State { return p.states(file.inForce()) },
		Sources: func() []pause.Source {
			last := p.observer.flow.LastEvents()
			c := file.inForce()
			var all []pause.Source
			for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
				all = append(all, pause.Source{Name: name, Provider: c.Sources[name].Provider, Last: last[name]})
			}
			return all
		},
	}
}

// states returns the states of the destinations in force. A process without a worker has none; it
// returns the configured destinations with an unknown circuit.
func (p *process) states(c *config.Config) []destination.State {
	if states := p.destinations.States(); len(states) > 0 {
		return states
	}
	var all []destination.State
	for _, name := range slices.Sorted(maps.Keys(c.Destinations)) {
		d := c.Destinations[name]
		all = append(all, destination.State{Name: name, Kind: d.Kind(), Events: d.Events, Circuit: "unknown"})
	}
	return all
}

// shutParts lists what is paused, and the destinations whose circuit is open, for /readyz.
func (p *process) shutParts() *admin.Shut {
	var s admin.Shut
	for key, why := range p.pauses.State() {
		s.Paused = append(s.Paused, fmt.Sprintf("%s since %s by %s: %s", key, why.Since.Format(time.RFC3339), why.Actor, why.Reason))
	}
	slices.Sort(s.Paused)
	for _, d := range p.destinations.States() {
		if d.Circuit == "open" {
			s.Open = append(s.Open, fmt.Sprintf("%s until %s: %s", d.Name, d.Until.UTC().Format(time.RFC3339), d.Reason))
		}
	}
	if s.Paused == nil && s.Open == nil {
		return nil
	}
	return &s
}
