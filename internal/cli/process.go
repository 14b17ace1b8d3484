package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/spool"
	"github.com/grapnel/grapnel/internal/telemetry"
)

// process is what every long-running command is made of.
type process struct {
	env      config.Env
	config   *config.Config
	log      *zap.Logger
	observer *observer
	settings engine.Settings
	client   client.Client
	// engine is the embedded one; nil without.
	engine *engine.Embedded
	// spool is the receiver's disk queue; nil without a receiver or a directory.
	spool   *spool.Spool
	out     io.Writer
	program Program
	// destinations are those in force; what is known of each outlives a reload.
	destinations *destination.Set
}

// open reads the configuration and makes the log and the metrics. Nothing is
// connected yet.
func (p Program) open() (*process, error) {
	env, cfg, err := p.configuration()
	if err != nil {
		return nil, err
	}
	log, err := telemetry.NewLogger(strings.ToLower(env.LogLevel.String()), env.LogFormat, p.Stderr)
	if err != nil {
		return nil, err
	}
	settings, err := engine.Resolve(p.Environ)
	if err != nil {
		return nil, err
	}
	o, err := newObserver(cfg, log)
	if err != nil {
		return nil, err
	}
	return &process{
		env: env, config: cfg, log: log, observer: o, settings: settings, out: p.Stdout, program: p,
		destinations: destination.NewSet(destination.Deps{}),
	}, nil
}

// environment reads what the variables say.
func (p Program) environment() (config.Env, error) {
	env, err := config.LoadEnv(p.lookup)
	if err != nil {
		return env, fmt.Errorf("environment:\n%w", err)
	}
	return env, nil
}

// configuration reads the variables and the file.
func (p Program) configuration() (config.Env, *config.Config, error) {
	env, err := p.environment()
	if err != nil {
		return env, nil, err
	}
	cfg, err := config.Load(env.Config, p.lookup)
	if err != nil {
		return env, nil, fmt.Errorf("configuration:\n%w", err)
	}
	return env, cfg, nil
}

// dial makes the client. It connects when it is first used, so that a process
// boots while Temporal is away.
func (p *process) dial() error {
	c, err := engine.Dial(p.settings, engine.DialOptions{
		Logger: telemetry.NewSlog(p.log), Metrics: p.observer.metrics.SDK(),
		CompressFrom: int(p.config.CompressFrom),
	})
	if err != nil {
		return err
	}
	p.client = c
	return nil
}

// dial makes a client for a command that only asks.
func (p Program) dial(c *cobra.Command) (client.Client, error) {
	settings, err := p.reach(c.Context())
	if err != nil {
		return nil, err
	}
	return engine.Dial(settings, engine.DialOptions{})
}

// reach finds the Temporal to ask: the one that is configured, else the embedded
// engine of the data directory, if it runs.
func (p Program) reach(ctx context.Context) (engine.Settings, error) {
	settings, err := engine.Resolve(p.Environ)
	if err != nil || settings.Configured() {
		return settings, err
	}
	dir, ok := p.lookup("GRAPNEL_DATA_DIR")
	if !ok || dir == "" {
		dir = defaultDataDir
	}
	if running, ok := engine.Running(ctx, dir, settings.Namespace); ok {
		return running, nil
	}
	return settings, nil
}

// setup makes namespace and search attributes, and keeps at it while Temporal is
// away. What it is not allowed to do it says; somebody else may have done it.
func (p *process) setup(ctx context.Context) {
	report, err := engine.Setup(ctx, p.client, engine.SetupOptions{
		Namespace: p.settings.Namespace, Retention: p.config.Retention, Logger: telemetry.NewSlog(p.log),
	})
	if err != nil && ctx.Err() == nil {
		p.log.Warn("Temporal is not set up as it should be; see 'grapnel setup'",
			zap.Error(err), zap.Stringer("report", report))
	}
}

// half is a part of the process that runs until it is stopped.
type half struct {
	name string
	// run ends when ctx is done, or with an error that ends the process.
	run func(ctx context.Context) error
}

// grace is how long a stopping process waits for what is in hand: workflow tasks
// may take ten seconds.
const grace = 30 * time.Second

// serve runs the halves until ctx is done or one of them fails, and then stops
// them one after the other, in the order given.
func (p *process) serve(ctx context.Context, halves ...half) error {
	type end struct {
		half int
		err  error
	}
	ends := make(chan end, len(halves))
	stops := make([]context.CancelFunc, len(halves))
	done := make([]chan struct{}, len(halves))
	for i, h := range halves {
		// Not derived from ctx: the halves are stopped in order, not at once.
		inner, stop := context.WithCancel(context.WithoutCancel(ctx))
		stops[i], done[i] = stop, make(chan struct{})
		go func() {
			defer close(done[i])
			err := h.run(inner)
			ends <- end{i, err}
		}()
	}
	var cause error
	select {
	case <-ctx.Done():
	case e := <-ends:
		cause = fmt.Errorf("%s ended: %w", halves[e.half].name, e.err)
	}
	for i, h := range halves {
		p.log.Debug("stopping", zap.String("part", h.name))
		stops[i]()
		<-done[i]
	}
	return cause
}
