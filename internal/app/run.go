package app

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/program"
	"github.com/grapnel/grapnel/internal/tracing"
	"github.com/grapnel/grapnel/starter"
)

// Parts say what a process runs.
type Parts struct {
	Receiver, Worker, Engine bool
	// Pprof serves Go's profiles on the admin listener.
	Pprof bool
}

// Serve runs a process of the given parts until ctx is done or one of them fails.
func (w World) Serve(ctx context.Context, which Parts) error {
	p, err := w.open()
	if err != nil {
		return err
	}
	if !which.Engine && !p.settings.Configured() {
		return fmt.Errorf("no Temporal is configured: set TEMPORAL_ADDRESS, or run '%s', which starts one itself", program.Command("up"))
	}
	if err := p.prepare(which); err != nil {
		return err
	}
	defer p.close(context.WithoutCancel(ctx))
	if err := p.openTelemetry(ctx, which); err != nil {
		return err
	}
	if err := p.openTemporal(ctx, which); err != nil {
		return err
	}
	if err := p.openDestinations(); err != nil {
		return err
	}
	if err := p.openSpool(which); err != nil {
		return err
	}
	where := banner{Parts: which, dataDir: p.env.DataDir, codec: p.codecEndpoint()}
	parts, err := p.parts(ctx, which, &where)
	if err != nil {
		return err
	}
	where.print(p)
	return p.serve(ctx, parts...)
}

// whenClosed registers a function that close will call.
func (p *process) whenClosed(do func(context.Context)) { p.closers = append(p.closers, do) }

// close calls the registered functions, the last one first.
func (p *process) close(ctx context.Context) {
	for _, do := range slices.Backward(p.closers) {
		do(ctx)
	}
	p.closers = nil
}

// openTelemetry opens the time series and the export of traces.
func (p *process) openTelemetry(ctx context.Context, which Parts) error {
	p.whenClosed(func(ctx context.Context) { _ = p.observer.close(ctx) })
	if err := p.keepSeries(which); err != nil {
		return err
	}
	traces, err := tracing.Open(ctx, p.world.Lookup, Version(), func(err error) { p.log.Warn("traces can't be exported", zap.Error(err)) })
	if err != nil {
		return err
	}
	p.traces = traces
	p.whenClosed(p.closeTraces)
	return nil
}

// openTemporal makes the client. If no Temporal is configured, it starts the embedded engine first.
// A configured Temporal is set up in the background, because it may be away.
func (p *process) openTemporal(ctx context.Context, which Parts) error {
	embedded := which.Engine && !p.settings.Configured()
	if embedded {
		if err := p.startEngine(ctx); err != nil {
			return err
		}
		p.whenClosed(p.stopEngine)
	}
	if err := p.dial(); err != nil {
		return err
	}
	p.whenClosed(func(context.Context) { p.client.Close() })
	if which.Engine && !embedded {
		setup, cancel := context.WithCancel(ctx)
		p.whenClosed(func(context.Context) { cancel() })
		go p.setup(setup)
	}
	return nil
}

// closeTraces sends the spans that are left, and gives up after tracesWithin if the collector is
// away.
func (p *process) closeTraces(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tracesWithin)
	defer cancel()
	if err := p.traces.Close(ctx); err != nil {
		p.log.Warn("the last traces were not exported", zap.Error(err))
	}
}

const tracesWithin = 5 * time.Second

// prepare logs the configuration's warnings, and refuses handlers that can't be bound before
// anything runs. It also sets the default data directory of an embedded engine.
func (p *process) prepare(which Parts) error {
	for _, w := range p.config.Warnings(time.Now()) {
		p.log.Warn(w.String())
	}
	if which.Receiver {
		if err := p.config.CheckDevelopment(p.env.Listen); err != nil {
			return err
		}
	}
	p.pprof = which.Pprof
	if which.Engine && p.env.DataDir == "" {
		p.env.DataDir = DefaultDataDir
	}
	if !which.Worker {
		return nil
	}
	targets, err := p.world.Targets(p.config)
	for _, t := range targets {
		if t.Fault != "" {
			p.log.Warn("no event reaches a target", zap.Stringer("target", t), zap.String("why", t.Fault))
		}
	}
	return err
}

// parts makes the parts in the order in which they are stopped: the receiver, the worker, what
// operators use, and last the engine.
func (p *process) parts(ctx context.Context, which Parts, where *banner) ([]part, error) {
	var stopping atomic.Bool
	context.AfterFunc(ctx, func() { stopping.Store(true) })
	var all []part
	var receiving *starter.Starter
	if which.Receiver {
		receiver, s, addr, err := p.receiver(ctx)
		if err != nil {
			return nil, err
		}
		receiving, where.receiver = s, addr
		all = append(all, receiver, part{name: "drain of the spool", run: s.Drain})
	}
	if which.Worker {
		a, err := p.activities()
		if err != nil {
			return nil, err
		}
		p.work = a
		all = append(all, p.workerPart(a), p.renewPart())
	}
	file := newReloader(p, func(c *config.Config) error { return p.reconfigure(receiving, c) })
	admin, server, err := p.admin(ctx, &stopping, file, where.receiver)
	if err != nil {
		return nil, err
	}
	where.admin = server.URL()
	all = append(append(append(all, p.pausesPart()), admin...), file.part())
	if p.engine != nil {
		where.ui = p.engine.UI
		all = append(all, p.enginePart())
	}
	return all, nil
}

// part is one part of the process.
type part struct {
	name string
	// run returns when ctx is done. If it returns earlier, the process ends.
	run func(ctx context.Context) error
}

// stopGrace is how long a stopping receiver waits for its requests and starts.
const stopGrace = 30 * time.Second

// serve runs the parts until ctx is done or one of them ends, and then stops them one after the
// other, in the order given. The error is that of the part that ended.
func (p *process) serve(ctx context.Context, parts ...part) error {
	type end struct {
		part int
		err  error
	}
	ends := make(chan end, len(parts))
	stops := make([]context.CancelFunc, len(parts))
	done := make([]chan struct{}, len(parts))
	for i, one := range parts {
		// Without ctx's cancellation, which would stop all parts at once and not in order.
		inner, stop := context.WithCancel(context.WithoutCancel(ctx))
		stops[i], done[i] = stop, make(chan struct{})
		go func() {
			defer close(done[i])
			err := one.run(inner)
			ends <- end{i, err}
		}()
	}
	var cause error
	select {
	case <-ctx.Done():
	case e := <-ends:
		cause = fmt.Errorf("%s ended: %w", parts[e.part].name, e.err)
	}
	for i, one := range parts {
		p.log.Debug("stopping", zap.String("part", one.name))
		stops[i]()
		<-done[i]
	}
	return cause
}
