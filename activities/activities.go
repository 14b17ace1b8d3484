// Package activities does the work of events: it makes the plan of an event
// from the table of handlers and the configured destinations, runs one attempt
// of a route, and holds the handlers themselves. handlers.go is the list to edit.
package activities

import (
	"context"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/meeting"
)

// Activities is what the worker does. Make one with New.
type Activities struct {
	// Temporal is the client by which handlers talk to other workflows.
	Temporal client.Client
	// TaskQueue is where this worker's own workflows run.
	TaskQueue string

	handlers *handler.Table
	table    atomic.Pointer[table]
}

// New makes activities with the handlers of the list and no destinations.
func New(c client.Client, taskQueue string) *Activities {
	a := &Activities{Temporal: c, TaskQueue: taskQueue}
	return a.WithHandlers(a.Handlers())
}

// WithHandlers replaces the handlers, before the activities are registered.
func (a *Activities) WithHandlers(t *handler.Table) *Activities {
	a.handlers = t
	a.Configure(Configuration{})
	return a
}

// Configuration is what the configuration file says of the worker.
type Configuration struct {
	// Destinations are the targets beside the handlers.
	Destinations []Destination
	// Ignores tells whether an event of a source that no route takes is dropped
	// rather than kept as a dead letter. Nil is never.
	Ignores func(source string) bool
}

// Destination is a target that the configuration names.
type Destination struct {
	// Name is the destination's own, without slash or dot.
	Name string
	// Events are patterns over source/type that say which events it takes.
	Events []string
	// Timeout is how long one attempt may take.
	Timeout time.Duration
	// Retry is when it is tried again.
	Retry event.Retry
	// HTTP is the endpoint that events are posted to.
	HTTP *destination.HTTP
}

// table is every route there is now.
type table struct {
	targets []target
	ignores func(source string) bool
}

// target is a handler or a destination, as the activities see it.
type target struct {
	route   event.Route
	matches func(event.Event) bool
	run     func(ctx context.Context, e event.Event, attempt int, body []byte) error
}

// Configure takes another configuration. Plans made before it stay as they are.
func (a *Activities) Configure(c Configuration) {
	t := &table{ignores: c.Ignores}
	for _, b := range a.handlers.All() {
		t.targets = append(t.targets, target{
			route:   event.Route{Name: b.Name, Activity: b.Name, Timeout: b.Options.Timeout, Retry: b.Options.Retry},
			matches: b.Matches,
			run:     b.Run,
		})
	}
	for _, d := range c.Destinations {
		t.targets = append(t.targets, target{
			route:   event.Route{Name: d.Name, Activity: event.ActivityDeliver, Timeout: d.Timeout, Retry: d.Retry},
			matches: func(e event.Event) bool { return event.MatchAny(d.Events, e.Name()) },
			run:     d.deliver,
		})
	}
	a.table.Store(t)
}

// Register makes the activities known to a worker: each handler under its own
// name, so that the Web UI shows it by that.
func (a *Activities) Register(r worker.ActivityRegistry) {
	register := func(name string, fn any) {
		r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
	register(event.ActivityRoute, a.Route)
	register(event.ActivityTry, a.Try)
	register(event.ActivityDeliver, a.Try)
	register(event.ActivityDeleteRun, a.DeleteRun)
	register(meeting.ActivityLastLedger, a.LastLedger)
	for _, b := range a.handlers.All() {
		register(b.Name, a.Try)
	}
}
