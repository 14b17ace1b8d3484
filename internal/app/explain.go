package app

import (
	"context"
	"maps"
	"slices"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/expression"
	"github.com/grapnel/grapnel/internal/secret"
)

// Routing says which routes take an event, and why.
type Routing struct {
	Event event.Event `json:"event"`
	// Outcome says in one line what happens to the event. OK is unset if it is certain to become a
	// dead letter.
	Outcome string `json:"outcome"`
	OK      bool   `json:"ok"`
	// Routes are all handlers and destinations, whether they take the event or not.
	Routes []Verdict `json:"routes"`
}

// Verdict says whether a handler or destination takes an event.
type Verdict struct {
	Name string `json:"name"`
	// Kind is handler or destination.
	Kind string `json:"kind"`
	// Takes tells whether the event goes there.
	Takes bool `json:"takes"`
	// Why says why it does, or why not.
	Why string `json:"why"`
	// When is a destination's condition, if one of its patterns matches.
	When string `json:"when,omitempty"`
	// Error says why the condition fails, or why the request can't be made.
	Error string `json:"error,omitempty"`
	// Sends is the request that would be sent.
	Sends *destination.Preview `json:"sends,omitempty"`
	// Body is the body of that request.
	Body string `json:"body,omitempty"`
}

// Explain finds the routes that take an event, by a configuration and by the program's handlers. It
// sends nothing.
func (w World) Explain(ctx context.Context, c *config.Config, e event.Event, body []byte) (Routing, error) {
	a, err := w.handlers()
	if err != nil {
		return Routing{}, err
	}
	r := Routing{Event: e, OK: true}
	source := c.Sources[e.Source]
	if source != nil && len(source.Events) > 0 && !event.MatchAny(source.Events, e.Type) {
		r.Outcome = "ignored by the receiver: the events of source " + e.Source + " do not include its type"
		return r, nil
	}
	for _, b := range a.Bindings(c.Examples) {
		v := Verdict{Name: b.Name, Kind: "handler", Takes: b.Matches(e), Why: "is bound to " + b.Source + "/" + b.Type + " at " + b.At}
		r.Routes = append(r.Routes, v)
	}
	in := expression.NewInput(e, body)
	for _, name := range slices.Sorted(maps.Keys(c.Destinations)) {
		d, err := destination.New(c.Destinations[name], destination.Deps{})
		if err != nil {
			return Routing{}, err
		}
		r.Routes = append(r.Routes, judgeDelivery(ctx, d, e, in, body))
		d.Close()
	}
	r.conclude(source)
	r.mask(c.Masker())
	return r, nil
}

// mask masks the configuration's secrets. The URL in Sends is left as it is: the preview shows only
// a part of it that holds no secret.
func (r *Routing) mask(m *secret.Masker) {
	for i := range r.Routes {
		v := &r.Routes[i]
		v.When, v.Error, v.Body = m.Mask(v.When), m.Mask(v.Error), m.Mask(v.Body)
		if v.Sends == nil {
			continue
		}
		for name, value := range v.Sends.Headers {
			v.Sends.Headers[name] = m.Mask(value)
		}
	}
}

// judgeDelivery returns the verdict of a destination on an event.
func judgeDelivery(ctx context.Context, d *destination.Destination, e event.Event, in *expression.Input, body []byte) Verdict {
	v := Verdict{Name: d.Name(), Kind: "destination", Why: "none of its patterns matches"}
	at := slices.IndexFunc(d.Spec.Events, func(p string) bool { return event.Match(p, e.Name()) })
	if at < 0 {
		return v
	}
	v.Why, v.When = "takes "+d.Spec.Events[at], d.Spec.When
	holds, err := d.Wants(ctx, in)
	switch {
	case err != nil:
		v.Why, v.Error = v.Why+", and its condition fails", err.Error()
		return v
	case !holds:
		v.Why += ", and its condition does not hold"
		return v
	case v.When != "":
		v.Why += ", and its condition holds"
	}
	v.Takes = true
	if v.Sends, err = d.Preview(ctx, destination.Delivery{Event: e, Body: body, Attempt: 1}); err != nil {
		v.Error = err.Error()
		return v
	}
	v.Body = string(v.Sends.Body)
	return v
}

// conclude sets Outcome and OK.
func (r *Routing) conclude(source *config.Source) {
	takes, fails := 0, 0
	for _, v := range r.Routes {
		if v.Error != "" {
			fails++
		} else if v.Takes {
			takes++
		}
	}
	switch {
	case fails > 0:
		r.OK, r.Outcome = false, "becomes a dead letter: a route fails before anything is sent"
	case takes > 0:
		r.Outcome = "is handled by the routes that take it"
	case source != nil && source.Unmatched == config.UnmatchedIgnore:
		r.Outcome = "is ignored: no route takes it, and its source says unmatched: ignore"
	default:
		r.OK, r.Outcome = false, "becomes a dead letter: no route takes it"
	}
}
