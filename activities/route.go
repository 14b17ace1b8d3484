package activities

import (
	"context"
	"slices"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/expression"
)

// Route makes the plan of an event from the table that is now in force. For a replay it plans
// only what is left to do. If a route that is left is no longer in the table, the routes that
// take the event now and have not succeeded replace it, so that a renamed handler is found. There
// are only two errors: the source is paused, so the event waits, or the worker is stopping.
//
// Whether a condition holds is decided here, once, and history records it. A replay evaluates a
// condition again only if that failed before: a route whose condition held, and which then
// failed, stays in the plan.
func (a *Activities) Route(ctx context.Context, ask event.Ask, body converter.RawValue) (event.Plan, error) {
	t := a.table.Load()
	if until, why, paused := a.pausedSource(ask.Event.Source); paused {
		return event.Plan{}, temporal.NewApplicationErrorWithOptions(why, event.FailureDeferred,
			temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{event.Detail{Until: until}}})
	}
	p := planning{table: t, event: ask.Event, body: body}
	if !ask.Replay || len(ask.Left) == 0 {
		p.match(ctx, ask.Done)
	} else {
		p.resume(ctx, ask)
	}
	if ctx.Err() != nil {
		return event.Plan{}, ctx.Err()
	}
	return p.plan, nil
}

// planning is the making of one plan.
type planning struct {
	table *routeTable
	event event.Event
	body  converter.RawValue
	// input is the event as conditions see it; nil until the first one is evaluated.
	input *expression.Input
	plan  event.Plan
}

// match plans the routes that take the event, except those that are done.
func (p *planning) match(ctx context.Context, done []string) {
	taken := false
	for _, to := range p.table.targets {
		switch {
		case !to.matches(p.event):
		case slices.Contains(done, to.route.Name):
			taken = true
		default:
			taken = p.add(ctx, to) || taken
		}
	}
	p.plan.Ignore = !taken && p.table.dropped(p.event)
}

// resume plans what is left to do for an event that is replayed.
func (p *planning) resume(ctx context.Context, ask event.Ask) {
	var gone []string
	for _, name := range ask.Left {
		found, ok := p.table.target(name)
		switch {
		case !ok:
			gone = append(gone, name)
		case slices.Contains(ask.Undecided, name):
			p.add(ctx, found)
		default:
			p.plan.Routes = append(p.plan.Routes, found.route)
		}
	}
	if len(gone) > 0 {
		before := len(p.plan.Routes) + len(p.plan.Failed)
		p.heirs(ctx, append(slices.Clone(ask.Done), ask.Left...))
		if len(p.plan.Routes)+len(p.plan.Failed) == before {
			p.plan.Gone = gone
		}
	}
	if len(p.plan.Routes)+len(p.plan.Failed)+len(p.plan.Gone) == 0 {
		p.plan.Ignore = len(ask.Done) > 0 || p.table.dropped(p.event)
	}
}

// heirs plans the routes that take the event now and are neither done nor among those left to do.
// They replace routes that are gone.
func (p *planning) heirs(ctx context.Context, known []string) {
	for _, to := range p.table.targets {
		if to.matches(p.event) && !slices.Contains(known, to.route.Name) {
			p.add(ctx, to)
		}
	}
}

// add plans a route if its condition holds. It gives false if the condition does not hold.
func (p *planning) add(ctx context.Context, to routeTarget) bool {
	holds, err := true, error(nil)
	if to.wants != nil {
		if p.input == nil {
			p.input = expression.NewInput(p.event, p.body.Payload().GetData())
		}
		holds, err = to.wants(ctx, p.input)
	}
	switch {
	case err != nil:
		now := time.Now()
		why := event.Cut("when: "+err.Error(), maxText)
		p.plan.Failed = append(p.plan.Failed, event.Failure{
			Route: to.route.Name, Type: event.FailureUndecided, Message: why, Cause: why, First: now, Last: now,
		})
	case holds:
		p.plan.Routes = append(p.plan.Routes, to.route)
	default:
		p.plan.Declined = append(p.plan.Declined, to.route.Name)
		return false
	}
	return true
}

func (a *Activities) pausedSource(name string) (until time.Time, why string, paused bool) {
	if a.Paused == nil {
		return until, "", false
	}
	return a.Paused(name)
}

func (t *routeTable) dropped(e event.Event) bool { return t.ignores != nil && t.ignores(e.Source) }

func (t *routeTable) target(name string) (routeTarget, bool) {
	for _, to := range t.targets {
		if to.route.Name == name {
			return to, true
		}
	}
	return routeTarget{}, false
}
