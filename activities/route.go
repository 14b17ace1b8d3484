package activities

import (
	"context"
	"slices"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/event"
)

// Route makes the plan of an event from today's table. On replay only what is
// left to do is planned; of the names that no table knows any more, the first
// calls in the routes that take the event now and have not succeeded, so that a
// renamed handler is found. An event of a paused source waits: that is the only
// error.
func (a *Activities) Route(_ context.Context, ask event.Ask, body converter.RawValue) (event.Plan, error) {
	t := a.table.Load()
	if until, why, paused := a.pausedSource(ask.Event.Source); paused {
		return event.Plan{}, temporal.NewApplicationErrorWithOptions(why, event.FailureDeferred,
			temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{event.Detail{Until: until}}})
	}
	matched := t.matching(ask.Event)
	if !ask.Replay || len(ask.Left) == 0 {
		routes := without(matched, ask.Done)
		return event.Plan{Routes: routes, Ignore: len(matched) == 0 && t.dropped(ask.Event)}, nil
	}
	var plan event.Plan
	for _, name := range ask.Left {
		if found, ok := t.target(name); ok {
			plan.Routes = append(plan.Routes, found.route)
		} else {
			plan.Gone = append(plan.Gone, name)
		}
	}
	if len(plan.Gone) == 0 {
		return plan, nil
	}
	if heirs := without(matched, append(slices.Clone(ask.Done), ask.Left...)); len(heirs) > 0 {
		return event.Plan{Routes: append(plan.Routes, heirs...)}, nil
	}
	return plan, nil
}

func (a *Activities) pausedSource(name string) (until time.Time, why string, paused bool) {
	if a.Paused == nil {
		return until, "", false
	}
	return a.Paused(name)
}

func (t *table) dropped(e event.Event) bool { return t.ignores != nil && t.ignores(e.Source) }

func (t *table) matching(e event.Event) []event.Route {
	var routes []event.Route
	for _, to := range t.targets {
		if to.matches(e) {
			routes = append(routes, to.route)
		}
	}
	return routes
}

func (t *table) target(name string) (target, bool) {
	for _, to := range t.targets {
		if to.route.Name == name {
			return to, true
		}
	}
	return target{}, false
}

// without leaves out the routes of the names given.
func without(routes []event.Route, names []string) []event.Route {
	return slices.DeleteFunc(routes, func(r event.Route) bool { return slices.Contains(names, r.Name) })
}
