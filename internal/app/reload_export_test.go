package app

import (
	"context"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
)

// Reloader is a reloader that reads the file only when a test calls Look.
type Reloader struct{ *reloader }

// NewReloader makes a reloader for the file of a configuration that is in force.
func NewReloader(path string, c *config.Config, log *zap.Logger, apply func(*config.Config) error) Reloader {
	p := &process{destinations: destination.NewSet(destination.Deps{}), env: config.Env{Config: path}, config: c, log: log}
	return Reloader{newReloader(p, apply)}
}

// Look looks at the file.
func (r Reloader) Look() { r.look() }

// Reload does what SIGHUP does.
func (r Reloader) Reload() { r.reload() }

// Report returns the configuration's part of /readyz.
func (r Reloader) Report() *admin.Config { return r.report() }

// Begin listens for SIGHUP and returns the function that watches the file.
func (r Reloader) Begin() func(context.Context) error { return r.part().run }

// Working returns a worker's activities under a configuration, and a function that puts another
// configuration into force.
func Working(c *config.Config, log *zap.Logger) (*activities.Activities, func(*config.Config) error, error) {
	o, err := newObserver(c, log)
	if err != nil {
		return nil, nil, err
	}
	p := &process{destinations: destination.NewSet(destination.Deps{}), config: c, log: log, observer: o}
	p.work, err = p.activities()
	return p.work, func(next *config.Config) error { return p.reconfigure(nil, next) }, err
}
