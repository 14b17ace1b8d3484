package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
	"github.com/grapnel/grapnel/internal/event"
)

// Each of these tests is a shape of run that a destination makes, and records it.

func TestAnEventWaitsForACircuitAndUsesUpNoAttempt(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	crm := newTarget(t, func(int) int {
		if down.Load() {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	src := yaml("destinations:", to("crm", crm.url, "attempts: 3, schedule: [30s]",
		"breaker: {failure_ratio: 0.5, min_calls: 1, window: 10s, open: 1s, max_open: 1s, probes: 1}"))
	s := up(t, src, nil)
	first := s.send(t, zoomOf(t.Name()+"1", "meeting.started")).EventID
	until(t, "the circuit opens", func() bool { return len(crm.deliveries()) == 1 })
	second := s.send(t, zoomOf(t.Name()+"2", "meeting.started")).EventID
	until(t, "the event is deferred", func() bool {
		for _, e := range s.history(t, second, "") {
			if e.GetEventType() == enums.EVENT_TYPE_TIMER_STARTED {
				return true
			}
		}
		return false
	})
	down.Store(false)
	require.NoError(t, s.result(t, second))
	keep(t, s, "deferred_by_circuit", second, firstRun(t, s, second))
	require.NoError(t, s.client.TerminateWorkflow(t.Context(), first, "", "its retry is half a minute away"))
}

func TestAnEventWaitsForAPauseAndForARate(t *testing.T) {
	t.Parallel()
	var paused atomic.Bool
	paused.Store(true)
	crm := newTarget(t, func(int) int { return http.StatusOK })
	deps := destination.Deps{Paused: func(string) (time.Time, string, bool) {
		return time.Now().Add(200 * time.Millisecond), "paused by the test", paused.Load()
	}}
	s := upWith(t, deps, yaml("destinations:", to("crm", crm.url, "attempts: 3", "limit: {rate: 2}")), nil)
	var ids []string
	for _, n := range []string{"1", "2", "3"} {
		ids = append(ids, s.send(t, zoomOf(t.Name()+n, "meeting.started")).EventID)
	}
	until(t, "the first is deferred", func() bool { return len(s.history(t, ids[0], "")) > 7 })
	require.Empty(t, crm.deliveries())
	paused.Store(false)
	for _, id := range ids {
		require.NoError(t, s.result(t, id))
	}
	keep(t, s, "deferred_by_pause_and_rate", ids[2], firstRun(t, s, ids[2]))
	require.Len(t, crm.deliveries(), 3)
}

// A run whose history has grown long while it waited continues as new. Two thousand events
// take a while, so this is done only to record it; the replay of the record is the test.
func TestALongWaitContinuesAsNew(t *testing.T) {
	if !recordFlag() {
		t.Skip("it only records")
	}
	t.Parallel()
	crm := newTarget(t, func(int) int { return http.StatusOK })
	done := newTarget(t, func(int) int { return http.StatusOK })
	var s *system
	var id atomic.Value
	deps := destination.Deps{Paused: func(name string) (time.Time, string, bool) {
		key, _ := id.Load().(string)
		if name == "done" {
			return time.Time{}, "", false
		}
		d, err := s.client.DescribeWorkflowExecution(context.Background(), key, "")
		info := d.GetWorkflowExecutionInfo()
		return time.Time{}, "paused by the test", err != nil || info.GetFirstRunId() == info.GetExecution().GetRunId()
	}}
	src := yaml("destinations:", to("done", done.url, "attempts: 3"))
	for i := range 20 { // Each round of waiting makes more history, so that there are fewer.
		src += to(fmt.Sprint("crm-", i), crm.url, "attempts: 3")
	}
	s = upWith(t, deps, src, nil)
	sent := s.send(t, zoom(t, "meeting.started")).EventID
	id.Store(sent)
	until(t, "the run has continued as new", func() bool { return s.latest(t, sent).GetFirstRunId() != s.latest(t, sent).GetExecution().GetRunId() })
	require.NoError(t, s.result(t, sent))
	keep(t, s, "renewed_while_deferred", sent, firstRun(t, s, sent))
	keep(t, s, "renewed", sent, s.latest(t, sent).GetExecution().GetRunId())
}

func TestAnActivityOfAnotherTeamIsARoute(t *testing.T) {
	t.Parallel()
	server := enginetest.Shared(t)
	queue := t.Name() + "-billing"
	w := sdkworker.New(server.Client, queue, sdkworker.Options{})
	got := make(chan event.Task, 1)
	w.RegisterActivityWithOptions(func(_ context.Context, task event.Task, _ converter.RawValue) error {
		got <- task
		return nil
	}, activity.RegisterOptions{Name: "HandleInvoice"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	s := up(t, yaml("destinations:\n  billing:\n    events: [\"zoom/*\"]\n    activity: {name: HandleInvoice, task_queue: \""+queue+"\"}\n"), nil)
	id := s.send(t, zoom(t, "meeting.started")).EventID
	require.NoError(t, s.result(t, id))
	require.Equal(t, id, (<-got).Event.ID)
	keep(t, s, "activity_destination", id, firstRun(t, s, id))
}

func TestAConditionThatFailsMakesADeadLetterThatAMendedOneHeals(t *testing.T) {
	t.Parallel()
	crm := newTarget(t, func(int) int { return http.StatusOK })
	all := newTarget(t, func(int) int { return http.StatusOK })
	config := func(when string) string {
		return yaml("destinations:", to("crm", crm.url, "attempts: 1", "when: "+when)+to("all", all.url, "attempts: 1"))
	}
	s := up(t, config("body.payload.object.plan == 'gold'"), nil)
	id := s.send(t, zoom(t, "meeting.started")).EventID
	text := s.dead(t, id)
	require.Contains(t, text, "crm: when: no such key: plan")
	require.Empty(t, crm.deliveries())
	require.Len(t, all.deliveries(), 1)
	keep(t, s, "condition_failed", id, firstRun(t, s, id))

	s.redeploy(t, config("body.payload.object.topic != ''"), func(*handler.Table) {})
	require.NoError(t, s.reset(t, id, s.latest(t, id).GetExecution().GetRunId(), t.Name()))
	s.handled(t, id)
	require.Len(t, crm.deliveries(), 1)
	require.Len(t, all.deliveries(), 1, "what succeeded does not run again")
	keep(t, s, "condition_mended", id, s.latest(t, id).GetExecution().GetRunId())

	other := s.send(t, zoomOf(t.Name()+"-other", "meeting.started")).EventID
	require.NoError(t, s.result(t, other))
}
