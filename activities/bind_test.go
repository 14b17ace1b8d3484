package activities_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/event"
)

func TestHandlersOfAProgramOfOnesOwnAreBoundBesideTheList(t *testing.T) {
	a := activities.New(nil, "queue")
	nothing := func(context.Context, handler.Event[[]byte]) error { return nil }
	require.NoError(t, a.Bind(func(table *handler.Table, d handler.Deps) {
		require.Equal(t, "queue", d.TaskQueue)
		handler.On(table, "stripe", "invoice.paid", nothing)
	}))
	a.Configure(activities.Configuration{})
	plan, err := a.Route(t.Context(), event.Ask{Event: event.Event{Source: "stripe", Type: "invoice.paid"}}, converter.RawValue{})
	require.NoError(t, err)
	require.Equal(t, []string{"stripe/invoice/paid"}, names(plan))

	require.ErrorContains(t, a.Bind(func(table *handler.Table, _ handler.Deps) {
		handler.On(table, "stripe", "invoice.paid", nothing)
	}), "taken by the handler bound at activities/bind_test.go:")
}

func TestTheWorkedExampleTakesEventsOnlyWhereItIsNamed(t *testing.T) {
	started := event.Ask{Event: event.Event{Source: "zoom", Type: "meeting.started"}}
	for name, c := range map[string]struct {
		examples []string
		bind     handler.Bind
		attempts []int // of the routes
	}{
		"it is not named": {nil, func(*handler.Table, handler.Deps) {}, nil},
		"it is named":     {[]string{activities.Meetings}, func(*handler.Table, handler.Deps) {}, []int{3}},
		"a handler of one's own takes its place": {[]string{activities.Meetings}, func(table *handler.Table, _ handler.Deps) {
			handler.On(table, "zoom", "meeting.started", func(context.Context, handler.Event[[]byte]) error { return nil },
				handler.Attempts(7))
		}, []int{7}},
	} {
		t.Run(name, func(t *testing.T) {
			a := activities.New(nil, "queue")
			require.NoError(t, a.Bind(c.bind))
			a.Configure(activities.Configuration{Examples: c.examples})
			plan, err := a.Route(t.Context(), started, converter.RawValue{})
			require.NoError(t, err)
			var attempts []int
			for _, r := range plan.Routes {
				attempts = append(attempts, r.Retry.Attempts)
			}
			require.Equal(t, c.attempts, attempts)
		})
	}
}
