package app

import (
	"context"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
)

// Reloader is a reloader whose looks tests make themselves.
type Reloader struct{ *reloader }

// NewReloader looks after the file of a configuration that is in force.
func NewReloader(path string, c *config.Config, log *zap.Logger, apply func(*config.Config) error) Reloader {
	p := &process{destinations: destination.NewSet(destination.Deps{}), env: config.Env{Config: path}, config: c, log: log}
	return Reloader{newReloader(p, apply)}
}

// Look looks at the file.
func (r Reloader) Look() { r.look() }

// Reload is what SIGHUP does.
func (r Reloader) Reload() { r.reload() }

// Report is what /readyz says.
func (r Reloader) Report() *admin.Config { return r.report() }

// Begin listens for SIGHUP and gives what looks after the file.
func (r Reloader) Begin() func(context.Context) error { return r.part().run }

// Working is a worker's table under a configuration, and what puts another one
// into force.
func Working(c *config.Config, log *zap.Logger) (*activities.Activities, func(*config.Config) error, error) {
	o, err := newObserver(c, log)
	if err != nil {
		return nil, nil, err
	}
	p := &process{destinations: destination.NewSet(destination.Deps{}), config: c, log: log, observer: o}
	p.work, err = p.activities()
	return p.work, func(next *config.Config) error { return p.reconfigure(nil, next) }, err
}
