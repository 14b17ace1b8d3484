package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/event"
)

// Two operators want different things of the same dead letters at the same moment: each
// letter gets one of them, once, and both are told which.
func TestTwoOperatorsAtOnceDoOneThingToEachDeadLetter(t *testing.T) {
	t.Parallel()
	const n = 12
	o := &outage{mended: map[string]bool{}, done: map[string]int{}}
	s := upOn(t, ownServer(t), yaml(), func(table *handler.Table) {
		handler.On(table, "zoom", "meeting.*", o.handle, handler.Name("zoom/all"), handler.Attempts(1))
	})
	letters := deadletter.New(s.client, s.Namespace, s.queue)
	var ids []string
	for i := range n {
		ids = append(ids, s.send(t, zoomOf(fmt.Sprint(t.Name(), i), "meeting.disk")).EventID)
	}
	for _, id := range ids {
		s.dead(t, id)
	}
	until(t, "all are listed", func() bool {
		l, err := letters.List(t.Context(), event.Filter{})
		return err == nil && len(l.Letters) == n
	})
	t.Run("a filter is no query", func(t *testing.T) {
		for _, evil := range []string{
			`" OR WorkflowType="ProcessEvent`, `zoom" OR "a"="a`, `\`, `\" OR 1=1 --`, `%`, `_`, `'; DROP TABLE executions_visibility; --`, "zoom\x00", "\n",
		} {
			for _, f := range []event.Filter{{Source: evil}, {Type: evil}, {Subject: evil}, {Reason: evil}, {Route: evil}, {IDs: []string{evil}}} {
				l, err := letters.List(t.Context(), f)
				require.NoError(t, err, "%q", evil)
				require.Empty(t, l.Letters, "%q", evil)
			}
			_, err := letters.Resolve(t.Context(), evil+"      ")
			require.Error(t, err)
		}
		l, err := letters.List(t.Context(), event.Filter{Source: "zo*", Type: "*.disk", Reason: "the * is down"})
		require.NoError(t, err)
		require.Len(t, l.Letters, n)
	})
	t.Run("any bytes are moved as they are", func(t *testing.T) {
		l, err := letters.Get(t.Context(), ids[0])
		require.NoError(t, err)
		for i, body := range []string{"\xff\xfe\x00binary\r\n", "", "{\"a\":  1}\n", strings.Repeat("\x00", 1<<16)} {
			l.Event.ID, l.Body = strings.Repeat(fmt.Sprint(i), 64), []byte(body)
			require.NoError(t, letters.Import(t.Context(), l, event.Deed{Actor: "ann"}))
			s.dead(t, l.Event.ID)
			moved, err := letters.Get(t.Context(), l.Event.ID)
			require.NoError(t, err)
			require.Equal(t, body, string(moved.Body))
		}
	})
	o.mend("meeting.disk")
	var both sync.WaitGroup
	st := make([]deadletter.Status, 2)
	for i, action := range []event.Action{event.ActionReplay, event.ActionDiscard} {
		both.Go(func() {
			id, err := letters.Begin(t.Context(), event.Operation{
				Action: action, Filter: event.Filter{IDs: ids}, Rate: 100, Deed: event.Deed{Actor: fmt.Sprint("operator ", i), Reason: "at once"},
			}, "")
			if err == nil {
				st[i] = ended(t, letters, id)
			} else {
				t.Error(err)
			}
		})
	}
	both.Wait()
	t.Logf("%v and %v", st[0].Counts, st[1].Counts)
	handled, twice := o.twice()
	require.Empty(t, twice)
	require.Equal(t, n, st[0].Counts[event.BecameHandled]+st[1].Counts[event.BecameDiscarded])
	require.Equal(t, handled, st[0].Counts[event.BecameHandled])
	require.Equal(t, n, st[0].Counts[event.BecameHandled]+st[0].Counts[event.BecameGone])
	for _, id := range ids {
		info := s.latest(t, id)
		require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, info.GetStatus())
		require.Equal(t, o.done[id] == 0, info.GetType().GetName() == event.Discarded)
	}
}

// An operation that is ended by hand, at whatever point, leaves each event either as the
// dead letter it was or handled.
func TestAnOperationThatIsTerminatedLosesNothing(t *testing.T) {
	t.Parallel()
	const n = 12
	o := &outage{mended: map[string]bool{"meeting.disk": false}, done: map[string]int{}}
	s := upOn(t, ownServer(t), yaml(), func(table *handler.Table) {
		handler.On(table, "zoom", "meeting.*", o.handle, handler.Name("zoom/all"), handler.Attempts(1))
	})
	letters := deadletter.New(s.client, s.Namespace, s.queue)
	ids := died(t, s, n)["meeting.disk"]
	disk := event.Filter{Type: "meeting.disk"}
	until(t, "all are listed", func() bool {
		l, err := letters.List(t.Context(), disk)
		return err == nil && len(l.Letters) == n
	})
	o.mend("meeting.disk")
	replay := event.Operation{Action: event.ActionReplay, Filter: disk, Rate: 5, Deed: event.Deed{Actor: "ann", Reason: "mended"}}
	id, err := letters.Begin(t.Context(), replay, "")
	require.NoError(t, err)
	until(t, "it is half-way", func() bool { handled, _ := o.twice(); return handled > 1 })
	require.NoError(t, s.client.TerminateWorkflow(t.Context(), id, "", "by hand"))
	st, err := letters.Operation(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "ended by hand", st.Note)
	s.redeploy(t, yaml(), func(table *handler.Table) { // and the worker is lost with what it was at
		handler.On(table, "zoom", "meeting.*", o.handle, handler.Name("zoom/all"), handler.Attempts(1))
	})
	until(t, "each event is dead or handled", func() bool {
		l, err := letters.List(t.Context(), disk)
		require.NoError(t, err)
		handled, _ := o.twice()
		return len(l.Letters)+handled == n
	})
	again, err := letters.Begin(t.Context(), replay, "")
	require.NoError(t, err)
	ended(t, letters, again)
	handled, twice := o.twice()
	require.Empty(t, twice)
	require.Equal(t, n, handled)
	for _, id := range ids {
		s.handled(t, id)
	}
}
