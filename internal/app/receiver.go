package app

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/netguard"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/sweep"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/starter"
)

// receiver makes the part that takes requests. It listens at once, so that a port in use is an
// error before anything else starts.
func (p *process) receiver(ctx context.Context) (part, *starter.Starter, net.Addr, error) {
	s, err := starter.New(starter.Options{
		Config: p.config, Temporal: p.client, Namespace: p.settings.Namespace, TaskQueue: p.env.TaskQueue,
		Spool: p.spool, Observer: p.observer, Tracer: p.traces.Tracer(), Log: p.log, Development: p.development(),
	})
	if err != nil {
		return part{}, nil, nil, err
	}
	l, err := starter.Listen(ctx, p.env.Listen, p.config.TLS, p.log)
	if err != nil {
		return part{}, nil, nil, err
	}
	run := func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
			defer cancel()
			return errors.Join(s.Shutdown(stop), <-served)
		}
	}
	return part{name: "receiver", run: run}, s, l.Addr(), nil
}

// development returns the function that opens the key of signed samples. It is nil unless the
// receiver listens on loopback and has a data directory.
func (p *process) development() func() (*provider.Development, error) {
	host, _, err := net.SplitHostPort(p.env.Listen)
	if err != nil || !netguard.IsLoopback(host) || p.env.DataDir == "" {
		return nil
	}
	return func() (*provider.Development, error) { return provider.OpenDevelopment(p.env.DataDir) }
}

// activities makes the worker's activities: handlers and destinations.
func (p *process) activities() (*activities.Activities, error) {
	ds, err := p.destinations.Open(p.config.Destinations)
	if err != nil {
		return nil, err
	}
	a := activities.New(p.client, p.env.TaskQueue)
	a.Log = telemetry.NewSlog(p.log.Named("handler"))
	if p.pauses != nil {
		a.Paused = p.paused(event.PauseSource)
	}
	a.Senders = func(s event.Sweep) (sweep.Sender, error) { return sweep.Open(s, p.world.Lookup) }
	if err := a.Bind(p.world.Bind...); err != nil {
		p.destinations.Discard(ds)
		return nil, fmt.Errorf("handlers:\n%w", err)
	}
	a.Configure(workerConfiguration(p.config, ds))
	p.destinations.Replace(ds)
	return a, nil
}

// reconfigure puts a configuration into force for the receiver s, which may be nil, the worker, the
// alerts and the labels of metrics. On an error nothing has changed.
func (p *process) reconfigure(s *starter.Starter, c *config.Config) error {
	alerts, err := p.alertSettings(c)
	if err != nil {
		return err
	}
	next, err := p.destinations.Open(c.Destinations)
	if err != nil {
		return err
	}
	if s != nil {
		if err := s.Reload(c); err != nil {
			p.destinations.Discard(next)
			return err
		}
	}
	p.observer.metrics.SetLabels(labels(c))
	p.observer.rejections.Hide(c.Masker())
	if p.alerts != nil {
		p.alerts.Configure(alerts)
	}
	if p.work == nil {
		return nil
	}
	p.work.Configure(workerConfiguration(c, next))
	p.destinations.Replace(next)
	return nil
}

// workerConfiguration is the worker's part of a configuration.
func workerConfiguration(c *config.Config, ds []*destination.Destination) activities.Configuration {
	return activities.Configuration{Destinations: ds, Examples: c.Examples, Ignores: func(source string) bool {
		s, ok := c.Sources[source]
		return ok && s.Unmatched == config.UnmatchedIgnore
	}}
}
