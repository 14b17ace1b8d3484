package activities_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/secret"
)

func names(p event.Plan) []string {
	var out []string
	for _, r := range p.Routes {
		out = append(out, r.Name)
	}
	return out
}

func TestRoute(t *testing.T) {
	nothing := func(context.Context, handler.Event[[]byte]) error { return nil }
	table := &handler.Table{}
	handler.On(table, "zoom", "meeting.started", nothing)
	handler.On(table, "zoom", "meeting.*", nothing)
	crm, err := destination.New(&destination.Spec{
		Name: "crm", Events: []string{"zoom/*"}, HTTP: &destination.HTTP{URL: secret.New("https://crm.example.com")},
	}, destination.Deps{})
	require.NoError(t, err)
	a := activities.New(nil, "q").WithHandlers(table)
	a.Configure(activities.Configuration{
		Destinations: []*destination.Destination{crm},
		Ignores:      func(source string) bool { return source == "quiet" },
	})
	for name, c := range map[string]struct {
		ask    event.Ask
		routes []string
		gone   []string
		ignore bool
	}{
		"all that match, handlers and destinations": {
			ask:    event.Ask{Event: event.Event{Source: "zoom", Type: "meeting.started"}},
			routes: []string{"zoom/meeting/started", "zoom/meeting/*", "crm"},
		},
		"none that match": {ask: event.Ask{Event: event.Event{Source: "slack", Type: "x"}}},
		"none that match, of a source that ignores": {
			ask: event.Ask{Event: event.Event{Source: "quiet"}}, ignore: true,
		},
		"a replay of what is left": {
			ask: event.Ask{
				Event: event.Event{Source: "zoom", Type: "meeting.started"}, Replay: true,
				Left: []string{"crm"}, Done: []string{"zoom/meeting/started", "zoom/meeting/*"},
			},
			routes: []string{"crm"},
		},
		"a replay of an event that had no handler": {
			ask:    event.Ask{Event: event.Event{Source: "zoom", Type: "recording"}, Replay: true},
			routes: []string{"crm"},
		},
		"a replay of a renamed route finds its heir, and not what is done": {
			ask: event.Ask{
				Event: event.Event{Source: "zoom", Type: "meeting.started"}, Replay: true,
				Left: []string{"zoom/old"}, Done: []string{"zoom/meeting/*", "crm"},
			},
			routes: []string{"zoom/meeting/started"},
		},
		"a replay of a route that is gone without an heir": {
			ask: event.Ask{
				Event: event.Event{Source: "zoom", Type: "recording"}, Replay: true,
				Left: []string{"zoom/old", "crm"},
			},
			routes: []string{"crm"}, gone: []string{"zoom/old"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := a.Route(t.Context(), c.ask, converter.RawValue{})
			require.NoError(t, err)
			require.Equal(t, c.routes, names(plan))
			require.Equal(t, c.gone, plan.Gone)
			require.Equal(t, c.ignore, plan.Ignore)
		})
	}
}

func TestNoActivityNameHoldsADot(t *testing.T) {
	for _, b := range activities.New(nil, "q").MeetingHandlers().All() {
		require.NotContains(t, b.Name, ".")
	}
}
