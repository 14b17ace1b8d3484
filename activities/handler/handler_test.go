package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/event"
)

type invoice struct {
	Amount int `json:"amount"`
}

func TestAHandlerReceivesItsPayloadTyped(t *testing.T) {
	var got handler.Event[invoice]
	table := &handler.Table{}
	handler.On(table, "stripe", "invoice.paid", func(_ context.Context, e handler.Event[invoice]) error {
		got = e
		return nil
	})
	b, ok := table.Get("stripe/invoice/paid")
	require.True(t, ok)
	body := []byte(`{ "amount": 7 }`)
	require.NoError(t, b.Run(t.Context(), event.Event{ID: "id", Source: "stripe"}, 2, body))
	require.Equal(t, 7, got.Payload.Amount)
	require.Equal(t, body, got.Body)
	require.Equal(t, 2, got.Attempt)
	require.Equal(t, "id", got.ID)
}

func TestABodyThatDoesNotFitIsPermanent(t *testing.T) {
	table := &handler.Table{}
	handler.On(table, "stripe", "*", func(context.Context, handler.Event[invoice]) error { return nil })
	err := table.All()[0].Run(t.Context(), event.Event{Source: "stripe", Type: "x"}, 1, []byte(`{"amount":"7"}`))
	require.ErrorContains(t, err, "stripe/x does not fit")
	require.True(t, handler.IsPermanent(err))
}

func TestRawPayloadsAreTheBodyAsItCame(t *testing.T) {
	table := &handler.Table{}
	var text, raw []byte
	handler.On(table, "s", "a", func(_ context.Context, e handler.Event[[]byte]) error { text = e.Payload; return nil })
	handler.On(table, "s", "b", func(_ context.Context, e handler.Event[json.RawMessage]) error { raw = e.Payload; return nil })
	for _, b := range table.All() {
		require.NoError(t, b.Run(t.Context(), event.Event{}, 1, []byte("a=1&b")))
	}
	require.Equal(t, "a=1&b", string(text))
	require.Equal(t, "a=1&b", string(raw))
}

func TestABindingThatCannotBeUsedIsReportedWithItsPlace(t *testing.T) {
	nothing := func(context.Context, handler.Event[[]byte]) error { return nil }
	for name, c := range map[string]struct {
		source, typ string
		fn          func(context.Context, handler.Event[[]byte]) error
		options     []handler.Option
		want        string
	}{
		"a name that is taken": {
			"zoom", "meeting/started", nothing, nil,
			`the name "zoom/meeting/started" is taken by the handler bound at handler/handler_test.go:`,
		},
		"a name with a dot":            {"zoom", "x", nothing, []handler.Option{handler.Name("zoom/a.b")}, "holds a dot"},
		"the name of a destination":    {"zoom", "x", nothing, []handler.Option{handler.Name("crm")}, `write "zoom/crm"`},
		"no source":                    {"", "x", nothing, nil, "has no source"},
		"a type given with the source": {"zoom/meeting.started", "", nothing, nil, "holds a slash or a dot"},
		"no function":                  {"zoom", "x", nil, nil, "the handler of zoom/x is nil"},
		"no attempt":                   {"zoom", "x", nothing, []handler.Option{handler.Attempts(0)}, "there is at least one"},
		"no time":                      {"zoom", "x", nothing, []handler.Option{handler.Timeout(0)}, "leaves no time"},
		"a backoff that shrinks":       {"zoom", "x", nothing, []handler.Option{handler.Backoff(1, 0.5, 2)}, "would shrink"},
		"a negative backoff":           {"zoom", "x", nothing, []handler.Option{handler.Backoff(-1, 1, 2)}, "no delay can be negative"},
		"a negative delay":             {"zoom", "x", nothing, []handler.Option{handler.Schedule(1, -1)}, "no delay can be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			table := &handler.Table{}
			handler.On(table, "zoom", "meeting.started", nothing)
			require.NoError(t, table.Err())
			handler.On(table, c.source, c.typ, c.fn, c.options...)
			require.ErrorContains(t, table.Err(), c.want)
			require.Regexp(t, `^handler/handler_test.go:\d+: `, table.Err().Error())
			require.Len(t, table.All(), 1, "it is left out")
		})
	}
}

func TestEveryFaultOfATableIsReported(t *testing.T) {
	table := &handler.Table{}
	handler.On[[]byte](table, "a", "x", nil)
	handler.On[[]byte](table, "b", "x", nil)
	require.ErrorContains(t, table.Err(), "a/x")
	require.ErrorContains(t, table.Err(), "b/x")
}

func TestPatternsOfSourceAndType(t *testing.T) {
	nothing := func(context.Context, handler.Event[[]byte]) error { return nil }
	table := &handler.Table{}
	handler.On(table, "zoom*", "meeting.*", nothing)
	b := table.All()[0]
	require.True(t, b.Matches(event.Event{Source: "zoom-eu", Type: "meeting.started"}))
	require.False(t, b.Matches(event.Event{Source: "zoom", Type: "recording.completed"}))
	require.False(t, b.Matches(event.Event{Source: "slack", Type: "meeting.started"}))
}

func TestOptions(t *testing.T) {
	nothing := func(context.Context, handler.Event[[]byte]) error { return nil }
	table := &handler.Table{}
	handler.On(table, "s", "default", nothing)
	handler.On(table, "s", "own", nothing, handler.Attempts(5), handler.Timeout(time.Minute),
		handler.Backoff(time.Millisecond, 3, time.Second), handler.Schedule(time.Hour))
	require.Equal(t, event.Retry{Attempts: 3, Initial: time.Second, Multiplier: 2, Max: 30 * time.Second}, table.All()[0].Options.Retry)
	require.Equal(t, 5*time.Second, table.All()[0].Options.Timeout)
	require.Equal(t, handler.Options{
		Timeout: time.Minute,
		Retry: event.Retry{
			Attempts: 5, Initial: time.Millisecond, Multiplier: 3, Max: time.Second, Schedule: []time.Duration{time.Hour},
		},
	}, table.All()[1].Options)
}

func TestErrorsKeepWhatTheyWrap(t *testing.T) {
	cause := errors.New("cause")
	p := fmt.Errorf("around: %w", handler.Permanent(cause))
	require.True(t, handler.IsPermanent(p))
	require.ErrorIs(t, p, cause)
	require.False(t, handler.IsPermanent(cause))
	r := fmt.Errorf("around: %w", handler.RetryAfter(time.Minute, cause))
	require.ErrorIs(t, r, cause)
	require.Equal(t, time.Minute, handler.Hint(r))
	require.Equal(t, time.Hour, handler.Hint(handler.RetryAfter(48*time.Hour, cause)), "an hour at the most")
	require.Zero(t, handler.Hint(cause))
	d := fmt.Errorf("around: %w", handler.Defer(48*time.Hour, cause))
	require.ErrorIs(t, d, cause)
	by, ok := handler.Deferral(d)
	require.True(t, ok)
	require.Equal(t, 48*time.Hour, by, "as long as it takes")
	_, ok = handler.Deferral(r)
	require.False(t, ok)
}
