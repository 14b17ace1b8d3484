package cli

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/starter"
)

// receiver makes the half that takes requests. It listens at once, so that a
// port in use is told before anything else is begun.
func (p *process) receiver(ctx context.Context) (half, *starter.Starter, net.Addr, error) {
	s, err := starter.New(starter.Options{
		Config: p.config, Temporal: p.client, Namespace: p.settings.Namespace, TaskQueue: p.env.TaskQueue,
		Spool: p.spool, Observer: p.observer, Log: p.log,
	})
	if err != nil {
		return half{}, nil, nil, err
	}
	l, err := starter.Listen(ctx, p.env.Listen, p.config.TLS, p.log)
	if err != nil {
		return half{}, nil, nil, err
	}
	run := func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
			defer cancel()
			return errors.Join(s.Shutdown(stop), <-served)
		}
	}
	return half{name: "receiver", run: run}, s, l.Addr(), nil
}

// activities makes what the worker works with.
func (p *process) activities() (*activities.Activities, error) {
	c, err := configuration(p.config)
	if err != nil {
		return nil, err
	}
	a := activities.New(p.client, p.env.TaskQueue)
	a.Log = telemetry.NewSlog(p.log.Named("handler"))
	a.Configure(c)
	p.destinations = c.Destinations
	return a, nil
}

// reconfigure puts another configuration into force: at the door, for the worker
// and in the labels of metrics. Either may be nil. It is done whole or not at all.
func (p *process) reconfigure(s *starter.Starter, a *activities.Activities, c *config.Config) error {
	next, err := configuration(c)
	if err != nil {
		return err
	}
	if s != nil {
		if err := s.Reload(c); err != nil {
			return err
		}
	}
	p.observer.metrics.SetLabels(labels(c))
	if a == nil {
		return nil
	}
	a.Configure(next)
	for _, d := range p.destinations {
		d.HTTP.Close() // Deliveries under way go on.
	}
	p.destinations = next.Destinations
	return nil
}

// configuration is what the file says of the worker.
func configuration(c *config.Config) (activities.Configuration, error) {
	var faults []error
	var ds []activities.Destination
	for name, d := range c.Destinations {
		h, err := destination.New(d.Options())
		if err != nil {
			faults = append(faults, fmt.Errorf("destination %s: %w", name, err))
			continue
		}
		ds = append(ds, activities.Destination{
			Name: name, Events: d.Events, Timeout: d.HTTP.Timeout, Retry: d.Retry, HTTP: h,
		})
	}
	return activities.Configuration{Destinations: ds, Examples: []string{activities.Meetings}, Ignores: func(source string) bool {
		s, ok := c.Sources[source]
		return ok && s.Unmatched == config.UnmatchedIgnore
	}}, errors.Join(faults...)
}
