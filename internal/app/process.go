// Package app is the running process: its parts, the order in which they start and stop, and how
// a changed configuration reaches them. It is the only package of the program that sees both the
// receiver and the worker.
package app

import (
	"context"
	"io"
	"strings"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/pause"
	"github.com/grapnel/grapnel/internal/spool"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/internal/tracing"
)

// process is what every long-running command is made of.
type process struct {
	world    World
	env      config.Env
	config   *config.Config
	log      *zap.Logger
	observer *observer
	settings engine.Settings
	client   client.Client
	// engine is the embedded one; nil without.
	engine *engine.Embedded
	// spool is the receiver's disk queue; nil without a receiver or a directory.
	spool *spool.Spool
	out   io.Writer
	// pprof has the admin listener serve profiles.
	pprof bool
	// destinations are those in force; what is known of each outlives a reload.
	destinations *destination.Set
	// pauses shows which sources and destinations are paused.
	pauses *pause.Board
	// traces are exported where the environment says where to.
	traces *tracing.Export
	// work is what the worker works with; nil without a worker.
	work *activities.Activities
	// alerts are told of a changed configuration; nil until they are made.
	alerts *alert.Watch
	// closers are what has to be done once all parts have ended, in the order opposite to this.
	closers []func(context.Context)
}

// open reads the configuration and makes the log and the metrics. Nothing is
// connected yet.
func (w World) open() (*process, error) {
	env, cfg, err := w.Configuration()
	if err != nil {
		return nil, err
	}
	log, err := telemetry.NewLogger(strings.ToLower(env.LogLevel.String()), env.LogFormat, w.Stderr)
	if err != nil {
		return nil, err
	}
	settings, err := engine.Resolve(w.Environ)
	if err != nil {
		return nil, err
	}
	o, err := newObserver(cfg, log)
	if err != nil {
		return nil, err
	}
	return &process{
		world: w, env: env, config: cfg, log: log, observer: o, settings: settings, out: w.Stdout,
	}, nil
}

// dial makes the client. It connects when it is first used, so that a process
// boots while Temporal is away.
func (p *process) dial() error {
	interceptors, err := p.traces.Interceptors()
	if err != nil {
		return err
	}
	c, err := engine.Dial(p.settings, engine.DialOptions{
		Logger: telemetry.NewSDKSlog(p.log), Metrics: p.observer.metrics.SDK(), Interceptors: interceptors,
		CompressFrom: int(p.config.CompressFrom),
	})
	if err != nil {
		return err
	}
	p.client = c
	return nil
}
