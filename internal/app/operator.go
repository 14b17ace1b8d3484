package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/console"
	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/eventlog"
)

// operator acts on dead letters for the page, as `grapnel dlq` and the REST API do.
type operator struct{ store *deadletter.Store }

// operation makes an operation of a request from the page.
func (o operator) operation(r console.Request) event.Operation {
	f := r.Filter
	return event.Operation{
		Action: event.Action(r.Action),
		Filter: event.Filter{
			IDs: r.IDs, Source: f.Source, Type: f.Type, Subject: f.Subject, Route: f.Route, Reason: f.Reason, Error: f.Error,
			Since: f.Since, Until: f.Until,
		},
		Deed: event.Deed{Actor: r.Actor, Reason: r.Reason},
	}
}

// Preview implements console.Operator.
func (o operator) Preview(ctx context.Context, r console.Request) (console.Preview, error) {
	plan, err := o.store.Plan(ctx, o.operation(r))
	if err != nil {
		return console.Preview{}, err
	}
	p := console.Preview{Count: plan.Total, Cannot: len(plan.Cannot)}
	for _, g := range plan.Groups {
		p.By = append(p.By, eventlog.Group{Key: g.Value, Count: g.Count, First: g.First, Last: g.Last})
	}
	for _, x := range plan.Cannot {
		p.Why = append(p.Why, x.ID[:min(len(x.ID), 10)]+": "+x.Why+".")
	}
	return p, nil
}

// Start implements console.Operator.
func (o operator) Start(ctx context.Context, r console.Request) (string, error) {
	return o.store.Begin(ctx, o.operation(r), "")
}

// mostOperations is how many operations the page lists.
const mostOperations = 50

// Operations implements console.Operator.
func (o operator) Operations(ctx context.Context) ([]console.Operation, error) {
	all, err := o.store.Operations(ctx, mostOperations)
	if err != nil {
		return nil, err
	}
	out := make([]console.Operation, 0, len(all))
	for _, s := range all {
		out = append(out, shownOperation(s))
	}
	return out, nil
}

// Operation implements console.Operator.
func (o operator) Operation(ctx context.Context, id string) (console.Operation, error) {
	s, err := o.store.Operation(ctx, id)
	if errors.Is(err, deadletter.ErrGone) {
		return console.Operation{}, console.Fault(http.StatusNotFound, err.Error())
	}
	return shownOperation(s), err
}

// itemsAtOnce is how many items are read at a time to find those of one outcome.
const itemsAtOnce = 2000

// Items implements console.Operator.
func (o operator) Items(ctx context.Context, id, key string, from, most int) (found []console.Item, next int, err error) {
	for {
		items, err := o.store.Items(ctx, id, from, itemsAtOnce)
		if err != nil {
			return nil, 0, err
		}
		for _, x := range items {
			if len(found) == most {
				return found, from, nil
			}
			from++
			if key == "" || key == string(x.Became) {
				found = append(found, console.Item{ID: x.ID, Outcome: x.Became.Words(), Why: x.Why, At: x.At})
			}
		}
		if len(items) < itemsAtOnce {
			return found, 0, nil
		}
	}
}

// Control implements console.Operator.
func (o operator) Control(ctx context.Context, id, verb, actor string) error {
	return o.store.Control(ctx, id, event.Control{Do: verb, Deed: event.Deed{Actor: actor, Reason: "on the page"}})
}

// shownOperation makes an operation as the page shows it.
func shownOperation(s deadletter.Status) console.Operation {
	op := console.Operation{
		ID: s.ID, Action: string(s.Action), State: string(s.Phase), Actor: s.Actor, Reason: s.Reason, Filter: filterText(s.Filter), Note: s.Note,
		Started: s.Started, Ended: s.Ended, Total: s.Total,
	}
	for _, became := range event.EveryBecame() {
		n := s.Counts[became]
		if n == 0 {
			continue
		}
		if became.Final() {
			op.Done += n
		}
		if became.Failed() {
			op.Failed += n
		}
		op.Results = append(op.Results, console.Result{Outcome: became.Words(), Key: string(became), Count: n})
	}
	return op
}

// filterText writes a filter for people.
func filterText(f event.Filter) string {
	var all []string
	for _, x := range []struct{ name, value string }{
		{"source", f.Source}, {"type", f.Type}, {"subject", f.Subject}, {"route", f.Route}, {"reason", f.Reason}, {"error", f.Error},
	} {
		if x.value != "" {
			all = append(all, x.name+" is "+x.value)
		}
	}
	if !f.Since.IsZero() {
		all = append(all, "last failed since "+f.Since.UTC().Format(time.RFC3339))
	}
	if !f.Until.IsZero() {
		all = append(all, "last failed before "+f.Until.UTC().Format(time.RFC3339))
	}
	if n := len(f.IDs); n > 0 {
		all = append(all, fmt.Sprintf("%d chosen by hand", n))
	}
	return strings.Join(all, ", ")
}
