package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
	"github.com/grapnel/grapnel/internal/event"
)

// stockServer starts a server whose list of workflows is as far behind as that of
// a cluster with Temporal's own settings.
func stockServer(t *testing.T) *enginetest.Server {
	t.Helper()
	server, stop := serve(t, engine.EmbeddedOptions{DataDir: t.TempDir(), InMemory: true, Stock: true})
	t.Cleanup(stop)
	return server
}

func TestADeadLetterThatIsResetTwiceIsReplayedOnce(t *testing.T) {
	t.Parallel()
	server := stockServer(t)
	for name, mended := range map[string]bool{"and is handled": true, "and is dead again": false} {
		bad := &flaky{}
		s := upAs(t, server, t.Name()+"/"+name, yaml(), bindOnly(bad))
		id := s.send(t, zoomOf(s.queue, "meeting.started")).EventID
		s.dead(t, id)
		old := s.latest(t, id).GetExecution().GetRunId()
		bad.mended.Store(mended)
		require.NoError(t, s.reset(t, id, old, "one"))
		until(t, "the first reset has come to its end", func() bool {
			info := s.latest(t, id)
			return info.GetExecution().GetRunId() != old && info.GetCloseTime() != nil && bad.calls.Load() == 2 &&
				info.GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
		})
		first := s.latest(t, id).GetExecution().GetRunId()
		require.NoError(t, s.reset(t, id, old, "two"), "the run is still there")
		until(t, "the second reset has come to its end", func() bool {
			info := s.latest(t, id)
			return info.GetExecution().GetRunId() != first && info.GetCloseTime() != nil
		})
		require.EqualValues(t, 2, bad.calls.Load(), "%s: nothing is done twice", name)
		until(t, "its state is the truth", func() bool {
			info := s.latest(t, id)
			if mended {
				return info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
			}
			return info.GetType().GetName() == event.DeadLetter && info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_FAILED
		})
		if !mended {
			l, err := deadletter.New(s.client, s.Namespace, s.queue).Get(t.Context(), id)
			require.NoError(t, err)
			require.Len(t, l.Letter.Replays, 1, "the newer dead letter, which remembers its replay")
			keep(t, s, "stands_in", id, l.Run)
		}
	}
}

// outage is a handler whose events have three ways to die, each of which can be
// mended by itself, and which counts how often each event was handled.
type outage struct {
	mu     sync.Mutex
	mended map[string]bool
	done   map[string]int
}

func (o *outage) handle(_ context.Context, e handler.Event[[]byte]) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.mended[e.Type] {
		return errors.New("the " + strings.TrimPrefix(e.Type, "meeting.") + " is down")
	}
	o.done[e.ID]++
	return nil
}

func (o *outage) mend(typ string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mended[typ] = true
}

// twice tells the events that were handled more than once, and how many in all.
func (o *outage) twice() (handled int, more []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, n := range o.done {
		if n > 1 {
			more = append(more, id)
		}
	}
	return len(o.done), more
}

// deadLettersInTest is how many dead letters of each reason the tests of operations
// work on. GRAPNEL_DEAD_LETTERS says how many in all.
func deadLettersInTest(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("GRAPNEL_DEAD_LETTERS"))
	if err != nil {
		n = 60
	}
	t.Logf("%d dead letters of three reasons", n)
	return n / 3
}

// died sends n events of each of three types, all of which die.
func died(t *testing.T, s *system, n int) map[string][]string {
	t.Helper()
	ids := map[string][]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, 32)
	for _, typ := range []string{"meeting.disk", "meeting.mail", "meeting.bank"} {
		for i := range n {
			slots <- struct{}{}
			all.Go(func() {
				id := s.send(t, zoomOf(fmt.Sprint(s.queue, i), typ)).EventID
				mu.Lock()
				defer mu.Unlock()
				ids[typ] = append(ids[typ], id)
				<-slots
			})
		}
	}
	all.Wait()
	return ids
}

func TestOperationsReplayEachDeadLetterOnce(t *testing.T) {
	t.Parallel()
	n := deadLettersInTest(t)
	o := &outage{mended: map[string]bool{}, done: map[string]int{}}
	bind := func(table *handler.Table) {
		handler.On(table, "zoom", "meeting.*", o.handle, handler.Name("zoom/all"), handler.Attempts(1))
	}
	s := upOn(t, ownServer(t), yaml(), bind)
	letters := deadletter.New(s.client, s.Namespace, s.queue)
	died(t, s, n)
	list := func(f event.Filter) []deadletter.Summary {
		l, err := letters.List(t.Context(), f)
		require.NoError(t, err)
		require.False(t, l.Cut)
		return l.Letters
	}
	until(t, "all are listed", func() bool { return len(list(event.Filter{})) == 3*n })
	began := time.Now()
	groups := deadletter.GroupBy(list(event.Filter{}), "reason")
	t.Logf("listed and grouped in %s", time.Since(began))
	require.Len(t, groups, 3)
	disk := event.Filter{Reason: "the disk is down"}
	plan, err := letters.Plan(t.Context(), event.Operation{Action: event.ActionReplay, Filter: disk})
	require.NoError(t, err)
	require.Equal(t, n, plan.Total)

	// What is still down stops the operation by itself, long before its end.
	if n > 3*event.StopAfter {
		id, err := letters.Begin(t.Context(), event.Operation{Action: event.ActionReplay, Filter: event.Filter{Reason: "the bank is down"}, Deed: event.Deed{Actor: "t", Reason: "too early"}}, "")
		require.NoError(t, err)
		until(t, "it stops by itself", func() bool { return phase(t, letters, id) == event.PhaseStopped })
		require.NoError(t, letters.Control(t.Context(), id, event.Control{Do: "cancel", Deed: event.Deed{Actor: "t"}}))
		require.Less(t, ended(t, letters, id).Begun, n/2)
	}

	o.mend("meeting.disk")
	mended := event.Operation{Action: event.ActionReplay, Filter: disk, Rate: 200, Deed: event.Deed{Actor: "t", Reason: "mended"}}
	one, err := letters.Begin(t.Context(), mended, "key")
	require.NoError(t, err)
	again, err := letters.Begin(t.Context(), mended, "key")
	require.NoError(t, err)
	require.Equal(t, one, again, "one key begins one operation")
	two, err := letters.Begin(t.Context(), mended, "")
	require.NoError(t, err)
	until(t, "the first has begun", func() bool { st, _ := letters.Operation(t.Context(), one); return st.Begun > 0 })
	began = time.Now()
	s.redeploy(t, yaml(), bind) // the worker is lost half-way
	require.NoError(t, letters.Control(t.Context(), one, event.Control{Do: "pause", Deed: event.Deed{Actor: "t"}}))
	require.NoError(t, letters.Control(t.Context(), one, event.Control{Do: "resume", Deed: event.Deed{Actor: "t"}}))
	first, second := ended(t, letters, one), ended(t, letters, two)
	t.Logf("replayed in %s: %v and %v", time.Since(began), first.Counts, second.Counts)
	require.Equal(t, n, first.Counts[event.BecameHandled]+first.Counts[event.BecameGone], "%v", first)
	require.Equal(t, n, first.Counts[event.BecameHandled]+second.Counts[event.BecameHandled], "%v %v", first, second)
	handled, twice := o.twice()
	require.Empty(t, twice, "handled more than once")
	require.Equal(t, n, handled)
	require.Len(t, list(event.Filter{}), 2*n, "the other reasons are untouched")
	require.Empty(t, list(disk))
	items, err := letters.Items(t.Context(), one, 0, 3*n)
	require.NoError(t, err)
	require.Len(t, items, first.Total)
	for _, item := range items {
		require.True(t, item.Became.Final(), "%v", item)
	}
	keep(t, s, "operation", one, firstRun(t, s, one))
	keep(t, s, "operation_page", one+"/0", firstRun(t, s, one+"/0"))
}

func phase(t *testing.T, letters *deadletter.Store, id string) event.Phase {
	t.Helper()
	st, err := letters.Operation(t.Context(), id)
	require.NoError(t, err)
	return st.Phase
}

// ended waits for the end of an operation.
func ended(t *testing.T, letters *deadletter.Store, id string) (st deadletter.Status) {
	t.Helper()
	end := time.Now().Add(30 * time.Minute)
	for {
		var err error
		st, err = letters.Operation(t.Context(), id)
		require.NoError(t, err)
		if st.Over() {
			return st
		}
		require.True(t, time.Now().Before(end), "%v", st)
		time.Sleep(200 * time.Millisecond)
	}
}

func TestDeadLettersAreDiscardedCorrectedRenewedAndMoved(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := map[string]string{}
	s := upOn(t, ownServer(t), yaml(), func(table *handler.Table) {
		handler.On(table, "zoom", "*", func(_ context.Context, e handler.Event[[]byte]) error {
			if !strings.Contains(string(e.Body), "corrected") {
				return errors.New("the amount is wrong")
			}
			mu.Lock()
			defer mu.Unlock()
			got[e.ID] = string(e.Body)
			return nil
		}, handler.Name("zoom/all"), handler.Attempts(1))
	})
	letters := deadletter.New(s.client, s.Namespace, s.queue)
	ids := make([]string, 3)
	for i := range ids {
		ids[i] = s.send(t, zoomOf(fmt.Sprint(t.Name(), i), "meeting.started")).EventID
		s.dead(t, ids[i])
	}
	until(t, "all are listed", func() bool {
		l, err := letters.List(t.Context(), event.Filter{})
		return err == nil && len(l.Letters) == 3
	})
	deed := event.Deed{Actor: "ann@desk", Reason: "tried out"}
	do := func(op event.Operation) deadletter.Status {
		op.Deed = deed
		id, err := letters.Begin(t.Context(), op, "")
		require.NoError(t, err)
		return ended(t, letters, id)
	}

	exported := []deadletter.Full{}
	require.NoError(t, letters.Export(t.Context(), event.Filter{}, func(l deadletter.Full) error {
		exported = append(exported, l)
		return nil
	}))
	require.Len(t, exported, 3)
	require.ErrorIs(t, letters.Import(t.Context(), exported[0], deed), deadletter.ErrTooLate)
	moved := exported[0]
	moved.Event.ID = strings.Repeat("0", 64)
	require.NoError(t, letters.Import(t.Context(), moved, deed))
	s.dead(t, moved.Event.ID)
	restored, err := letters.Get(t.Context(), moved.Event.ID)
	require.NoError(t, err)
	require.Equal(t, moved.Letter.Failures, restored.Letter.Failures)
	require.Equal(t, moved.Body, restored.Body)

	old, err := letters.Get(t.Context(), ids[2])
	require.NoError(t, err)
	id, err := letters.Begin(t.Context(), event.Operation{
		Action: event.ActionRenew, Rate: event.DefaultRate, Share: 1, Deed: deed,
	}, "")
	require.NoError(t, err)
	require.NotZero(t, ended(t, letters, id).Counts[event.BecameRenewed])
	s.dead(t, ids[2])
	renewed, err := letters.Get(t.Context(), ids[2])
	require.NoError(t, err)
	require.NotEqual(t, old.Run, renewed.Run)
	require.True(t, renewed.Died.After(old.Died))
	require.Equal(t, old.Letter.Failures, renewed.Letter.Failures, "when it first failed stays")
	require.True(t, s.send(t, zoomOf(t.Name()+"2", "meeting.started")).Replayed, "a repeat replays a renewed letter too")
	s.dead(t, ids[2])

	st := do(event.Operation{Action: event.ActionDiscard, Filter: event.Filter{IDs: ids[:1]}})
	require.Equal(t, 1, st.Counts[event.BecameDiscarded], "%v", st)
	require.True(t, s.send(t, zoomOf(t.Name()+"0", "meeting.started")).Duplicate)
	story, err := letters.Get(t.Context(), ids[0])
	require.NoError(t, err)
	require.Equal(t, "ann@desk", story.Discard.Actor)

	st = do(event.Operation{Action: event.ActionReplay, Filter: event.Filter{IDs: ids[1:2]}, Body: []byte(`{"still":"wrong"}`)})
	require.Equal(t, 1, st.Counts[event.BecameSame], "%v", st)
	wrong, err := letters.Get(t.Context(), ids[1])
	require.NoError(t, err)
	require.Equal(t, `{"still":"wrong"}`, string(wrong.Corrected)) //nolint:testifylint // To the byte.
	require.Equal(t, zoomOf(t.Name()+"1", "meeting.started"), string(wrong.Body), "the original stays")
	require.Equal(t, "ann@desk", wrong.Letter.Correction.Actor)
	st = do(event.Operation{Action: event.ActionReplay, Filter: event.Filter{IDs: ids[1:2]}, Body: []byte(`{"is":"corrected"}`)})
	require.Equal(t, 1, st.Counts[event.BecameHandled], "%v", st)
	require.Equal(t, `{"is":"corrected"}`, got[ids[1]]) //nolint:testifylint // To the byte.
}

func TestAScheduleRenewsDeadLetters(t *testing.T) {
	t.Parallel()
	s := upOn(t, ownServer(t), yaml(), nil)
	letters := deadletter.New(s.client, s.Namespace, s.queue)
	for range 2 { // Every worker asks for it.
		require.NoError(t, letters.KeepRenewing(t.Context(), time.Hour))
	}
	handle := s.client.ScheduleClient().GetHandle(t.Context(), deadletter.Schedule)
	described, err := handle.Describe(t.Context())
	require.NoError(t, err)
	require.Len(t, described.Schedule.Spec.Intervals, 1)
	require.NoError(t, handle.Trigger(t.Context(), client.ScheduleTriggerOptions{}))
	until(t, "it has run", func() bool {
		d, err := handle.Describe(t.Context())
		return err == nil && len(d.Info.RecentActions) == 1 && len(d.Info.RunningWorkflows) == 0
	})
	until(t, "what it started is listed as completed", func() bool {
		return s.count(t, `WorkflowType="Operation" AND ExecutionStatus="Completed"`) == 1
	})
}
