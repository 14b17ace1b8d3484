package activities_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/secret"
)

// conditional makes activities with destinations that have the conditions given, by name.
func conditional(t *testing.T, when map[string]string) *activities.Activities {
	t.Helper()
	var all []*destination.Destination
	for _, name := range []string{"a", "b", "c"} {
		text, ok := when[name]
		if !ok {
			continue
		}
		d, err := destination.New(&destination.Spec{
			Name: name, Events: []string{"shop/*"}, When: text, HTTP: &destination.HTTP{URL: secret.New("https://example.com")},
		}, destination.Deps{})
		require.NoError(t, err)
		all = append(all, d)
	}
	a := activities.New(nil, "q").WithHandlers(&handler.Table{})
	a.Configure(activities.Configuration{Destinations: all})
	return a
}

func planOf(t *testing.T, a *activities.Activities, ask event.Ask, body string) event.Plan {
	t.Helper()
	ask.Event.Source, ask.Event.Type = "shop", "paid"
	plan, err := a.Route(t.Context(), ask, converter.NewRawValue(&commonpb.Payload{Data: []byte(body)}))
	require.NoError(t, err)
	return plan
}

func TestAConditionThatFailsIsAFailureOfItsRouteAlone(t *testing.T) {
	a := conditional(t, map[string]string{"a": "body.amount > 10", "b": "body.amount <= 10", "c": "body.missing == 1"})
	plan := planOf(t, a, event.Ask{}, `{"amount": 11}`)
	require.Equal(t, []string{"a"}, names(plan))
	require.Equal(t, []string{"b"}, plan.Declined)
	require.Len(t, plan.Failed, 1)
	require.Equal(t, "c", plan.Failed[0].Route)
	require.Equal(t, event.FailureUndecided, plan.Failed[0].Type)
	require.Equal(t, "when: no such key: missing", plan.Failed[0].Message)
	require.False(t, plan.Failed[0].First.IsZero())
}

func TestAReplayAsksAConditionAgainOnlyWhereThereWasNoAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		when             map[string]string
		ask              event.Ask
		routes, declined []string
		ignore           bool
	}{
		"what a destination failed to take stays its to take": {
			when:   map[string]string{"a": "false", "b": "true"},
			ask:    event.Ask{Left: []string{"a"}},
			routes: []string{"a"},
		},
		"a mended condition that holds": {
			when:   map[string]string{"a": "true", "b": "true"},
			ask:    event.Ask{Left: []string{"a"}, Undecided: []string{"a"}, Done: []string{"b"}},
			routes: []string{"a"},
		},
		"a mended condition that does not hold, with nothing else left to do": {
			when:     map[string]string{"a": "false", "b": "true"},
			ask:      event.Ask{Left: []string{"a"}, Undecided: []string{"a"}, Done: []string{"b"}},
			declined: []string{"a"}, ignore: true,
		},
		"a mended condition that does not hold, of an event that nothing took": {
			when:     map[string]string{"a": "false", "b": "false"},
			ask:      event.Ask{Left: []string{"a"}, Undecided: []string{"a"}},
			declined: []string{"a"},
		},
		"a route that is gone has an heir only where the condition holds": {
			when:   map[string]string{"a": "false", "b": "true"},
			ask:    event.Ask{Left: []string{"old"}},
			routes: []string{"b"}, declined: []string{"a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.ask.Replay = true
			plan := planOf(t, conditional(t, c.when), c.ask, `{}`)
			require.Equal(t, c.routes, names(plan))
			require.Equal(t, c.declined, plan.Declined)
			require.Equal(t, c.ignore, plan.Ignore)
			require.Empty(t, plan.Failed)
			require.Empty(t, plan.Gone)
		})
	}
}

// A plan without conditions costs what it always did: nobody decodes the body.
func TestNobodyLooksAtABodyThatNoConditionAsksFor(t *testing.T) {
	body := converter.NewRawValue(&commonpb.Payload{Data: []byte(`{"a": [` + strings.Repeat(`{"b": "c"},`, 50_000) + `{}]}`)})
	ask := event.Ask{Event: event.Event{Source: "shop", Type: "paid"}}
	plain := conditional(t, map[string]string{"a": "", "b": ""})
	require.Less(t, testing.AllocsPerRun(10, func() { _, _ = plain.Route(t.Context(), ask, body) }), 20.0)
	twice := conditional(t, map[string]string{"a": "size(body.a) > 1", "b": "size(body.a) > 2"})
	once := conditional(t, map[string]string{"a": "size(body.a) > 1"})
	cost := func(a *activities.Activities) float64 {
		return testing.AllocsPerRun(2, func() { _, _ = a.Route(t.Context(), ask, body) })
	}
	require.Less(t, cost(twice), cost(once)*1.1, "the body is decoded once for all destinations")
}
