package cli

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/starter"
)

func upCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Run everything in one process: receiver, worker and, if none is configured, Temporal",
		Long: `Run receiver and worker in one process, with one Temporal client, so that an event is
handled at the cost of two calls to the engine.

Without TEMPORAL_ADDRESS the embedded engine runs too: the Temporal CLI's server on a
SQLite file under GRAPNEL_DATA_DIR, with its Web UI. Its state survives a restart.
Ctrl-C stops everything, in order.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.run(c.Context(), parts{receiver: true, worker: true, engine: true})
		},
	}
}

func starterCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "starter",
		Short: "Run the receiver alone, against a Temporal that runs elsewhere",
		RunE: func(c *cobra.Command, _ []string) error {
			return p.run(c.Context(), parts{receiver: true})
		},
	}
}

func workerCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "worker",
		Short: "Run the worker alone, against a Temporal that runs elsewhere",
		RunE: func(c *cobra.Command, _ []string) error {
			return p.run(c.Context(), parts{worker: true})
		},
	}
}

// parts say what a process runs.
type parts struct{ receiver, worker, engine bool }

// defaultDataDir is where up keeps its state unless told otherwise.
const defaultDataDir = ".grapnel"

// run runs a process until ctx is done.
func (p Program) run(ctx context.Context, which parts) error {
	proc, err := p.open()
	if err != nil {
		return err
	}
	proc.prepare(which)
	defer func() { _ = proc.observer.close(context.WithoutCancel(ctx)) }()
	where := banner{parts: which, dataDir: proc.env.DataDir, codec: proc.codecEndpoint()}
	embedded := which.engine && !proc.settings.Configured()
	var halves []half
	if embedded {
		if err := proc.startEngine(ctx); err != nil {
			return err
		}
		defer proc.stopEngine(context.WithoutCancel(ctx))
		where.ui = proc.engine.UI
		halves = append(halves, proc.engineHalf())
	}
	if err := proc.dial(); err != nil {
		return err
	}
	defer proc.client.Close()
	if which.receiver {
		if proc.spool, err = proc.openSpool(); err != nil {
			return err
		}
		defer proc.closeSpool()
	}
	more, err := proc.halves(ctx, which, &where)
	if err != nil {
		return err
	}
	if which.engine && !embedded {
		setup, cancel := context.WithCancel(ctx)
		defer cancel()
		go proc.setup(setup)
	}
	where.print(proc)
	return proc.serve(ctx, append(more, halves...)...)
}

// prepare says what of the configuration should be looked at, and gives an engine
// a place for its state.
func (p *process) prepare(which parts) {
	for _, w := range p.config.Warnings(time.Now()) {
		p.log.Warn(w.String())
	}
	if which.engine && p.env.DataDir == "" {
		p.env.DataDir = defaultDataDir
	}
}

// halves makes the parts, in the order in which they are stopped: what takes
// events before what handles them, and last what people look at.
func (p *process) halves(ctx context.Context, which parts, where *banner) ([]half, error) {
	var stopping atomic.Bool
	context.AfterFunc(ctx, func() { stopping.Store(true) })
	var halves []half
	var door *starter.Starter
	if which.receiver {
		h, s, addr, err := p.receiver(ctx)
		if err != nil {
			return nil, err
		}
		door, where.receiver = s, addr
		halves = append(halves, h, half{name: "drain of the spool", run: s.Drain})
	}
	var work *activities.Activities
	if which.worker {
		a, err := p.activities()
		if err != nil {
			return nil, err
		}
		work = a
		halves = append(halves, p.workerHalf(a))
	}
	file := newReloader(p, func(c *config.Config) error { return p.reconfigure(door, work, c) })
	h, server, err := p.admin(ctx, &stopping, file)
	if err != nil {
		return nil, err
	}
	where.admin = server.URL()
	return append(halves, h, file.half()), nil
}

// startEngine starts the embedded engine.
func (p *process) startEngine(ctx context.Context) error {
	e, err := engine.Start(ctx, engine.EmbeddedOptions{
		DataDir: p.env.DataDir, Namespace: p.settings.Namespace, Retention: p.config.Retention,
		Environ: p.program.Environ, Logger: telemetry.NewSlog(p.log), CodecEndpoint: p.codecEndpoint(),
	})
	if err != nil {
		return err
	}
	p.engine, p.settings = e, e.Settings()
	return nil
}

// stopEngine stops the engine, once all halves have ended.
func (p *process) stopEngine(ctx context.Context) {
	if err := p.engine.Stop(ctx); err != nil {
		p.log.Error("stop the engine", zap.Error(err))
	}
}

// engineHalf starts the engine again when it ends by itself; meanwhile events wait
// on disk. It ends with an error when the engine can't be started any more.
func (p *process) engineHalf() half {
	return half{name: "engine", run: func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case died := <-p.engine.Done():
				p.log.Error("the engine has ended; starting it again", zap.Error(died))
				e, err := p.engine.Restart(ctx)
				if ctx.Err() != nil && err != nil {
					return nil
				}
				if err != nil {
					return errors.Join(died, err)
				}
				p.engine = e
				p.log.Info("the engine serves again", zap.Int("pid", e.PID))
			}
		}
	}}
}
