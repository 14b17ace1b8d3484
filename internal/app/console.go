package app

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/console"
	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/pause"
	"github.com/grapnel/grapnel/internal/telemetry/fleet"
)

// eventLog makes a reader of events that uses the process's client.
func (p *process) eventLog() *eventlog.Log {
	dc := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), engine.NewCodec(0))
	return eventlog.New(p.client, p.settings.Namespace, dc)
}

// processStatus is what the page shows of the process: the receiver's address, and whether it is
// ready.
type processStatus struct {
	receiver net.Addr
	ready    func(context.Context) admin.Report
}

// console makes the operations page.
func (p *process) console(w *watch, log *eventlog.Log, store *deadletter.Store, at processStatus) (*console.Console, error) {
	ui := p.env.UIOrigin
	if p.engine != nil {
		ui = p.engine.UI
	}
	return console.New(console.Options{
		Series: p.observer.flow.Series(), Events: log,
		Fleet: fleet.New(fleet.Options{Address: func() string { return w.file.inForce().Console.Prometheus }}), Letters: w.counter.Last, Alerts: w.alerts,
		OnDisk:        p.onDisk,
		Sources:       func() []console.Source { return p.sourceStates(w.file, at.receiver) },
		Destinations:  func() []console.Destination { return p.pageDestinations(w.file.inForce()) },
		Configuration: func(ctx context.Context) console.Configuration { return p.configurationState(ctx, w.file, at.ready) },
		Rejections:    p.observer.rejections,
		Operator:      operator{store},
		Pause:         p.pause,
		WebUI:         ui, Namespace: p.settings.Namespace, Version: "grapnel " + Version(),
		Sessions: console.NewSessions(p.env.AdminToken.Reveal(), p.env.AdminReadToken.Reveal(), nil),
		Log:      p.log.Named("page"),
	})
}

// onDisk returns how many events wait on this process's disk.
func (p *process) onDisk() int {
	if p.spool == nil {
		return 0
	}
	return p.spool.Stats().Depth
}

// sourceStates returns the sources as the page shows them.
func (p *process) sourceStates(file *reloader, receiver net.Addr) []console.Source {
	c, last := file.inForce(), p.observer.flow.LastEvents()
	var all []console.Source
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		s := c.Sources[name]
		x := console.Source{Name: name, Provider: s.Provider, URL: s.URL, Last: last[name]}
		if x.Provider == "" {
			x.Provider = "written out in the configuration"
		}
		if x.URL == "" {
			x.URL = "/webhooks/" + name
			if receiver != nil {
				x.URL = ReceiverURL(c, receiver.String()) + x.URL
			}
		}
		if why, paused := p.pauses.Get(event.PauseSource, name); paused {
			x.Paused, x.Why = why.Since, pause.Reason(event.PauseSource, name, why)
		}
		all = append(all, x)
	}
	return all
}

// destinationStates returns the destinations that this process delivers to, for the metrics and the
// alerts.
func (p *process) destinationStates() []console.Destination {
	var all []console.Destination
	for _, d := range p.destinations.States() {
		all = append(all, p.destinationState(d))
	}
	return all
}

// pageDestinations returns the destinations as the page shows them. A process without a worker does
// not know their circuit breakers, but every process knows which of them are paused.
func (p *process) pageDestinations(c *config.Config) []console.Destination {
	var all []console.Destination
	for _, d := range p.states(c) {
		all = append(all, p.destinationState(d))
	}
	return all
}

func (p *process) destinationState(d destination.State) console.Destination {
	x := console.Destination{
		Name: d.Name, Kind: d.Kind, Target: d.Target, Events: d.Events, State: "works", Since: d.Since, Until: d.Until, Why: d.Reason,
	}
	switch d.Circuit {
	case "open":
		x.State = "open"
	case "half-open":
		x.State = "trying"
	case "unknown":
		x.State = ""
	}
	if why, paused := p.pauses.Get(event.PauseDestination, d.Name); paused {
		x.State, x.Since, x.Until, x.Why = "paused", why.Since, time.Time{}, pause.Reason(event.PauseDestination, d.Name, why)
	}
	return x
}

// pause pauses or resumes a source or a destination for the page.
func (p *process) pause(ctx context.Context, kind, name string, change event.PauseChange) error {
	err := p.pauses.Set(ctx, kind, name, change)
	if errors.Is(err, pause.ErrUnconfirmed) {
		return console.Fault(http.StatusAccepted, err.Error()+".")
	}
	return err
}

// readyWithin is how long the page waits for the readiness checks.
const readyWithin = 2 * time.Second

// configurationState returns the configuration in force, its warnings, and the state of the parts.
func (p *process) configurationState(ctx context.Context, file *reloader, ready func(context.Context) admin.Report) console.Configuration {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	state := file.report()
	c := console.Configuration{Path: p.env.Config, Fingerprint: state.Fingerprint, Loaded: state.Loaded, Fault: state.LastFault, Checks: ready(ctx).Checks}
	for _, w := range file.inForce().Warnings(time.Now()) {
		c.Warnings = append(c.Warnings, w.String())
	}
	for _, t := range targetsUnder(file.inForce(), p.work) {
		if t.Fault != "" {
			c.Unreachable = append(c.Unreachable, t.String()+": "+t.Fault)
		}
	}
	if p.spool != nil {
		s := p.spool.Stats()
		c.Spool = &console.Spool{
			Depth: s.Depth, Refused: s.Refused, Oldest: time.Duration(s.OldestAge), Bytes: s.Bytes, Max: s.MaxBytes, Drain: s.DrainRate,
		}
	}
	return c
}
