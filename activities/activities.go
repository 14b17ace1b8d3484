// Package activities holds the activities that handle events: one makes the plan of an event,
// from the table of handlers and the configured destinations, another makes one attempt at a
// route. It also holds the handlers of a fork; handlers.go is the list to edit.
package activities

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/expression"
	"github.com/grapnel/grapnel/internal/meeting"
	"github.com/grapnel/grapnel/internal/sweep"
)

// Activities holds all activities of the worker. Make one with New.
type Activities struct {
	// Deps are what grapnel lends to handlers.
	handler.Deps
	// Paused tells whether a source is paused, why, and until when its events wait; nil means
	// that none ever is. Set it before the activities are registered.
	Paused func(source string) (until time.Time, why string, paused bool)
	// Senders opens the API of a sender for a sweep; nil if there is none.
	Senders func(event.Sweep) (sweep.Sender, error)

	client   client.Client
	handlers *handler.Table
	table    atomic.Pointer[routeTable]
	// attributes remembers which search attributes of dead letters the namespace has.
	attributes rememberedNames
}

// New makes activities with the handlers of the list and without destinations. They log to slog's
// default logger until Log is set.
func New(c client.Client, taskQueue string) *Activities {
	a := &Activities{
		Deps:   handler.Deps{Temporal: c, TaskQueue: taskQueue, Log: slog.Default()},
		client: c,
	}
	return a.WithHandlers(a.Handlers())
}

// WithHandlers replaces the handlers. Call it before the activities are registered.
func (a *Activities) WithHandlers(t *handler.Table) *Activities {
	a.handlers = t
	a.Configure(Configuration{})
	return a
}

// Bind adds handlers to those of the list. Call it before the activities are configured and
// registered. Its error names every binding that can't be used.
func (a *Activities) Bind(binds ...handler.Bind) error {
	for _, bind := range binds {
		bind(a.handlers, a.Deps)
	}
	return a.handlers.Err()
}

// Configuration holds the settings of grapnel.yaml that concern the worker.
type Configuration struct {
	// Destinations are the configured targets.
	Destinations []*destination.Destination
	// Ignores tells whether events of a source are dropped, and not kept as dead letters, if no
	// route takes them. Nil means never.
	Ignores func(source string) bool
	// Examples names the worked examples whose handlers take events too: Meetings.
	Examples []string
}

// routeTable holds every route of one configuration.
type routeTable struct {
	targets []routeTarget
	ignores func(source string) bool
	// since is when the table came into force.
	since time.Time
}

// routeTarget is a handler or a destination, as the activities see it.
type routeTarget struct {
	route   event.Route
	matches func(event.Event) bool
	// wants tells whether the route's condition holds; nil if the route has none.
	wants func(context.Context, *expression.Input) (bool, error)
	// admit asks whether an event may go now to a route on another task queue; nil if it always
	// may.
	admit func(slot time.Time) error
	run   func(ctx context.Context, t event.Task, attempt int, body []byte) error
}

// Configure puts another configuration into force. Plans that were made before stay as they are.
func (a *Activities) Configure(c Configuration) {
	t := &routeTable{ignores: c.Ignores, since: time.Now()}
	for _, b := range a.Bindings(c.Examples) {
		t.targets = append(t.targets, routeTarget{
			route:   event.Route{Name: b.Name, Activity: b.Name, Timeout: b.Options.Timeout, Retry: b.Options.Retry},
			matches: b.Matches,
			run: func(ctx context.Context, t event.Task, attempt int, body []byte) error {
				return b.Run(ctx, t.Event, attempt, body)
			},
		})
	}
	for _, d := range c.Destinations {
		to := routeTarget{route: d.Route(), matches: d.Matches, admit: d.Admit, run: deliverTo(d)}
		if d.Conditional() {
			to.wants = d.Wants
		}
		t.targets = append(t.targets, to)
	}
	a.table.Store(t)
}

// Bindings lists the handlers, and those of the named examples. A handler replaces an example's
// handler of the same name.
func (a *Activities) Bindings(examples []string) []handler.Binding {
	all := slices.Clone(a.handlers.All())
	if !slices.Contains(examples, Meetings) {
		return all
	}
	for _, b := range a.MeetingHandlers().All() {
		if _, taken := a.handlers.Get(b.Name); !taken {
			all = append(all, b)
		}
	}
	return all
}

// Register registers the activities with a worker. Each handler has an activity under its own
// name, which the Web UI shows.
func (a *Activities) Register(r worker.ActivityRegistry) {
	register := func(name string, fn any) {
		r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
	register(event.ActivityRoute, a.Route)
	register(event.ActivityTry, a.Try)
	register(event.ActivityDeliver, a.Try)
	register(event.ActivityAdmit, a.Admit)
	register(event.ActivityDeleteRun, a.DeleteRun)
	register(event.ActivityIndex, a.Index)
	register(event.ActivityFreeze, a.OperationFreeze)
	register(event.ActivityWork, a.OperationWork)
	register(event.ActivitySettle, a.OperationSettle)
	register(event.ActivityCancel, a.OperationCancel)
	register(event.ActivitySweep, a.Sweep)
	register(meeting.ActivityLastLedger, a.LastLedger)
	// Examples are registered even when they are switched off: they may still have events under
	// way.
	for _, b := range a.Bindings([]string{Meetings}) {
		register(b.Name, a.Try)
	}
}
