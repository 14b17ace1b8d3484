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
	// engine is the embedded engine; nil if another Temporal is configured.
	engine *engine.Embedded
	// spool is the receiver's disk queue; nil without a receiver or a data directory.
	spool *spool.Spool
	out   io.Writer
	// pprof makes the admin listener serve profiles.
	pprof bool
	// destinations are those in force. The state of each survives a reload.
	destinations *destination.Set
	// pauses knows which sources and destinations are paused.
	pauses *pause.Board
	// traces exports spans to where the environment says, if it does.
	traces *tracing.Export
	// work are the worker's activities; nil without a worker.
	work *activities.Activities
	// alerts is kept here so that a reload can configure it; nil until it is made.
	alerts *alert.Watch
	// closers are called after all parts have ended, the last one first.
	closers []func(context.Context)
}

// open reads the configuration and makes the log and the metrics. It connects nothing.
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

// dial makes the client. The client connects at its first use, so a process can start while
// Temporal is away.
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
