package app

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/program"
	"github.com/grapnel/grapnel/internal/telemetry"
)

// startEngine starts the embedded engine.
func (p *process) startEngine(ctx context.Context) error {
	e, err := engine.Start(ctx, engine.EmbeddedOptions{
		DataDir: p.env.DataDir, Namespace: p.settings.Namespace, Retention: p.config.Retention,
		Port:        p.env.TemporalPort,
		KeepIndexes: !p.config.Engine.TrimVisibility,
		Environ:     p.world.Environ, Logger: telemetry.NewSlog(p.log), CodecEndpoint: p.codecEndpoint(),
	})
	if err != nil {
		return err
	}
	p.engine, p.settings = e, e.Settings()
	return nil
}

// stopEngine stops the embedded engine, after all parts have ended.
func (p *process) stopEngine(ctx context.Context) {
	if err := p.engine.Stop(ctx); err != nil {
		p.log.Error("stop the engine", zap.Error(err))
	}
}

// enginePart makes the part that starts the embedded engine again if it ends by itself. Meanwhile
// events wait on disk. The part ends with an error if the engine can't be started again.
func (p *process) enginePart() part {
	return part{name: "engine", run: func(ctx context.Context) error {
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

// SetUp makes what grapnel needs in Temporal: the namespace and its search attributes. update
// allows changing the retention of an existing namespace, allowShorter even to a shorter one.
func (w World) SetUp(ctx context.Context, update, allowShorter bool) (engine.Report, error) {
	p, err := w.open()
	if err != nil {
		return engine.Report{}, err
	}
	if p.settings, err = w.Reach(ctx); err != nil {
		return engine.Report{}, err
	}
	if !p.settings.Configured() {
		return engine.Report{}, Unreachable(p.settings, nil)
	}
	if err := p.dial(); err != nil {
		return engine.Report{}, err
	}
	defer p.client.Close()
	report, err := engine.Setup(ctx, p.client, engine.SetupOptions{
		Namespace: p.settings.Namespace, Retention: p.config.Retention,
		Update: update || allowShorter, AllowShorter: allowShorter,
		Logger: telemetry.NewSlog(p.log).With("address", p.settings.Address),
	})
	if errors.Is(err, engine.ErrUnreachable) {
		err = Unreachable(p.settings, err)
	}
	return report, err
}

// setup does the same at the start of a process, and waits while Temporal is away. If it lacks a
// permission it only logs that, because somebody else may have set Temporal up.
func (p *process) setup(ctx context.Context) {
	report, err := engine.Setup(ctx, p.client, engine.SetupOptions{
		Namespace: p.settings.Namespace, Retention: p.config.Retention, Logger: telemetry.NewSlog(p.log),
	})
	for _, s := range report.Steps {
		if err == nil && s.Outcome == engine.Kept {
			p.log.Warn("the namespace's retention is not the configured one", zap.Stringer("step", s))
		}
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn("Temporal is not set up as it should be; see '"+program.Command("setup")+"'",
			zap.Error(err), zap.Stringer("report", report))
	}
}
