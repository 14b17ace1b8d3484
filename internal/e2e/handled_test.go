package e2e_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"github.com/grapnel/grapnel/activities/handler"
)

func TestASignedEventIsHandled(t *testing.T) {
	t.Parallel()
	got := make(chan handler.Event[[]byte], 1)
	s := up(t, yaml(), func(table *handler.Table) {
		handler.On(table, "zoom", "meeting.started", func(_ context.Context, e handler.Event[[]byte]) error {
			got <- e
			return nil
		})
	})
	// Everything that another writer of JSON would change: white space, key
	// order, a big number, an escape, a bracket.
	body := `{ "z":1, "event":"meeting.started","event_ts":1687276800000,"a":12345678901234567890,"payload":` +
		`{"account_id":"x","object":{"uuid":"` + t.Name() + `","topic":"<Weekly> & \u00e9"}} }`
	first := s.send(t, body)
	require.Equal(t, 200, first.Status)
	require.True(t, first.Success)
	require.Len(t, first.EventID, 64)
	require.NoError(t, s.result(t, first.EventID))

	t.Run("the handler has the bytes that the sender signed", func(t *testing.T) {
		e := <-got
		require.Equal(t, body, string(e.Body))
		require.Equal(t, 1, e.Attempt)
		require.Equal(t, first.EventID, e.ID)
	})
	t.Run("the engine was asked for seven events", func(t *testing.T) {
		history := s.history(t, first.EventID, "")
		require.Len(t, history, 7)
		keep(t, s, "handled", first.EventID, s.latest(t, first.EventID).GetExecution().GetRunId())
	})
	t.Run("people find it by source, type and subject, with a summary", func(t *testing.T) {
		until(t, "visibility lists it", func() bool {
			return s.count(t, `WorkflowId="`+first.EventID+`" AND EventSource="zoom" AND EventType="meeting.started" AND EventTime>"2023-06-20T15:59:59Z" AND EventTime<"2023-06-20T16:00:01Z"`) == 1
		})
		meta := s.history(t, first.EventID, "")[0].GetUserMetadata()
		require.Contains(t, string(meta.GetSummary().GetData()), "zoom meeting.started")
	})
	t.Run("the same event again is a duplicate", func(t *testing.T) {
		again := s.send(t, body)
		require.Equal(t, 200, again.Status)
		require.True(t, again.Duplicate)
		require.Equal(t, first.EventID, again.EventID)
	})
	t.Run("the same key with other content is no duplicate", func(t *testing.T) {
		other := s.send(t, body[:len(body)-1]+`,"more":true}`)
		require.True(t, other.Success)
		require.False(t, other.Duplicate)
		require.NotEqual(t, first.EventID, other.EventID)
		require.NoError(t, s.result(t, other.EventID))
		require.True(t, s.send(t, body[:len(body)-1]+`,"more":true}`).Duplicate)
	})
}

func TestAForgedEventIsRefused(t *testing.T) {
	t.Parallel()
	s := up(t, yaml(), nil)
	body := zoom(t, "meeting.started")
	at := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	now, old, future := at(0), at(-10*time.Minute), at(10*time.Minute)
	for name, c := range map[string]struct {
		ts, signature string
		status        int
		message       string
	}{
		"another secret":    {now, sign("another", now, body), 401, "Invalid signature"},
		"another body":      {now, sign(secret, now, body+" "), 401, "Invalid signature"},
		"too old":           {old, sign(secret, old, body), 400, "Request timestamp too old"},
		"in the future":     {future, sign(secret, future, body), 400, "Request timestamp in the future"},
		"no timestamp":      {"", sign(secret, "", body), 400, "Invalid request timestamp"},
		"no signature":      {now, "", 401, "Invalid signature"},
		"old and forged":    {old, sign("another", old, body), 401, "Invalid signature"},
		"timestamp no time": {"soon", sign(secret, "soon", body), 400, "Invalid request timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.post(t, body, c.ts, c.signature)
			require.Equal(t, c.status, a.Status)
			require.Equal(t, c.message, a.Error)
		})
	}
}

func TestAnEventWithoutAHandlerWaitsForOne(t *testing.T) {
	t.Parallel()
	s := up(t, yaml(), nil)
	id := s.send(t, zoom(t, "foo.bar")).EventID
	require.Contains(t, s.dead(t, id), "no handler for zoom/foo.bar")
	keep(t, s, "dead_without_handler", id, s.latest(t, id).GetExecution().GetRunId())
	first := s.history(t, id, firstRun(t, s, id))
	require.Equal(t, enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, first[len(first)-1].GetEventType())
	keep(t, s, "without_handler", id, firstRun(t, s, id))
}

func firstRun(t *testing.T, s *system, id string) string {
	t.Helper()
	return s.latest(t, id).GetFirstRunId()
}

func TestAnEventThatItsSourceDoesNotTakeIsIgnored(t *testing.T) {
	t.Parallel()
	s := up(t, yaml("    events: [meeting.*]"), nil)
	body := zoom(t, "recording.completed")
	a := s.send(t, body)
	require.Equal(t, 200, a.Status)
	require.True(t, a.Ignored)
	require.Empty(t, a.EventID)
	require.False(t, up(t, yaml(), nil).send(t, body).Duplicate, "it was not started")
}
