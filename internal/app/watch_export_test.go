package app

import (
	"context"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/pause"
	"github.com/grapnel/grapnel/internal/spool"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/internal/telemetry/series"
	"github.com/grapnel/grapnel/starter"
	"github.com/grapnel/grapnel/worker"
)

// Watched is a process with its watch, on a test's clock.
type Watched struct {
	watch *watch
	p     *process
}

// Heard receives what happens to events.
type Heard interface {
	starter.Observer
	worker.Observer
}

// NewWatched makes a Watched with the destinations of its configuration in force.
func NewWatched(c client.Client, cfg *config.Config, s *spool.Spool, log *zap.Logger, now func() time.Time) (*Watched, error) {
	o, err := newObserver(cfg, log)
	if err != nil {
		return nil, err
	}
	if o.flow, err = telemetry.NewFlow(o.metrics, o.stats, series.New(now), now); err != nil {
		return nil, err
	}
	p := &process{
		config: cfg, log: log, observer: o, client: c, spool: s, env: config.Env{TaskQueue: "events", AdminListen: "127.0.0.1:9090"},
		destinations: destination.NewSet(destination.Deps{Observer: circuits{o}}), pauses: pause.New(pause.Options{Temporal: c}),
	}
	if p.work, err = p.activities(); err != nil {
		return nil, err
	}
	file := newReloader(p, func(c *config.Config) error { return p.reconfigure(nil, c) })
	w, err := p.newWatch(file, p.eventLog(), now)
	return &Watched{w, p}, err
}

// Heard returns the process's observer.
func (w *Watched) Heard() Heard { return w.p.observer }

// Look looks once.
func (w *Watched) Look(ctx context.Context) { w.watch.look(ctx) }

// Alerts returns the alerts.
func (w *Watched) Alerts() *alert.Watch { return w.watch.alerts }

// Reconfigure puts another configuration into force.
func (w *Watched) Reconfigure(c *config.Config) error { return w.p.reconfigure(nil, c) }

// Circuit returns the state of a destination's circuit breaker.
func (w *Watched) Circuit(name string) string {
	for _, s := range w.p.destinations.States() {
		if s.Name == name {
			return s.Circuit
		}
	}
	return ""
}

// Deliver delivers an event to a destination.
func (w *Watched) Deliver(ctx context.Context, name string, d destination.Delivery) error {
	for _, one := range w.p.destinations.All() {
		if one.Name() == name {
			return one.Deliver(ctx, d)
		}
	}
	return context.Canceled
}
