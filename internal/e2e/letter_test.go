package e2e_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
	"github.com/grapnel/grapnel/internal/event"
)

// deadOf is a system with an event that is dead of its only handler, which has
// one attempt.
func deadOf(t *testing.T, server *enginetest.Server) (s *system, bad *flaky, id string) {
	t.Helper()
	bad = &flaky{}
	s = upOn(t, server, yaml(), bindOnly(bad))
	id = s.send(t, zoom(t, "meeting.started")).EventID
	s.dead(t, id)
	return s, bad, id
}

func bindOnly(f *flaky) func(*handler.Table) {
	return func(table *handler.Table) {
		handler.On(table, "zoom", "meeting.started", f.handle, handler.Name("zoom/only"), handler.Attempts(1))
	}
}

// handled waits until an event's latest run is a ProcessEvent that is done.
func (s *system) handled(t *testing.T, id string) {
	t.Helper()
	until(t, "the event is handled", func() bool {
		info := s.latest(t, id)
		return info.GetType().GetName() == event.ProcessEvent && info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
	})
}

// unlisted waits until no dead letter of an event is listed. Temporal removes a
// run from its lists only when everything before the run's end has been worked
// off, other removals included: on a server that tests share, each waits for
// all, so a test that asks for this has a server of its own.
func (s *system) unlisted(t *testing.T, id string) {
	t.Helper()
	until(t, "no dead letter of it is listed", func() bool {
		return s.count(t, deadLetters+` AND WorkflowId="`+id+`"`) == 0
	})
}

// ownServer starts a server for one test.
func ownServer(t *testing.T) *enginetest.Server {
	t.Helper()
	server, stop := serve(t, engine.EmbeddedOptions{DataDir: t.TempDir(), InMemory: true})
	t.Cleanup(stop)
	return server
}

func (s *system) reset(t *testing.T, id, run, request string) error {
	t.Helper()
	_, err := s.client.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: s.Namespace, WorkflowExecution: &common.WorkflowExecution{WorkflowId: id, RunId: run},
		WorkflowTaskFinishEventId: 4, RequestId: request,
	})
	return err
}

func (s *system) deleteRun(t *testing.T, id, run string) {
	t.Helper()
	_, err := s.client.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: s.Namespace, WorkflowExecution: &common.WorkflowExecution{WorkflowId: id, RunId: run},
	})
	require.NoError(t, err)
	s.untilGone(t, id, run)
}

func (s *system) untilGone(t *testing.T, id, run string) {
	t.Helper()
	until(t, "the run is gone", func() bool {
		_, err := s.client.DescribeWorkflowExecution(t.Context(), id, run)
		var notFound *serviceerror.NotFound
		return errors.As(err, &notFound)
	})
}

func TestAReplayWhoseOldRunIsGoneAlreadyGoesOn(t *testing.T) {
	t.Parallel()
	s, bad, id := deadOf(t, ownServer(t))
	s.stopWorker()
	old := s.latest(t, id).GetExecution().GetRunId()
	require.NoError(t, s.reset(t, id, old, t.Name()))
	s.deleteRun(t, id, old)
	bad.mended.Store(true)
	s.redeploy(t, yaml(), bindOnly(bad))
	s.handled(t, id)
	s.unlisted(t, id)
	require.EqualValues(t, 2, bad.calls.Load())
}

func TestAResetOfARunThatWasReplayedAlreadyRunsNothing(t *testing.T) {
	t.Parallel()
	s, bad, id := deadOf(t, ownServer(t))
	old := s.latest(t, id).GetExecution().GetRunId()
	bad.mended.Store(true)
	require.NoError(t, s.reset(t, id, old, "one"))
	s.handled(t, id)
	s.unlisted(t, id)
	s.untilGone(t, id, old)
	require.ErrorAs(t, s.reset(t, id, old, "two"), new(*serviceerror.NotFound))
	require.NoError(t, s.result(t, id))
	require.EqualValues(t, 2, bad.calls.Load())
}

func TestTwoPeopleWhoReplayAtOnceGetOneHandledEvent(t *testing.T) {
	t.Parallel()
	s, bad, id := deadOf(t, enginetest.Shared(t))
	old := s.latest(t, id).GetExecution().GetRunId()
	bad.mended.Store(true)
	var both sync.WaitGroup
	for _, who := range []string{"one", "two"} {
		both.Go(func() {
			// Who comes late hears that the run is gone; both is fine.
			if err := s.reset(t, id, old, who); err != nil {
				t.Log("refused:", err)
			}
		})
	}
	both.Wait()
	s.handled(t, id)
	// Each reset may have got as far as the handler: at least once is promised.
	require.GreaterOrEqual(t, bad.calls.Load(), int32(2))
	require.LessOrEqual(t, bad.calls.Load(), int32(3))
	require.True(t, s.send(t, zoom(t, "meeting.started")).Duplicate)
}

func TestSendersWhoRepeatADeadLetterAtOnceReplayItOnce(t *testing.T) {
	t.Parallel()
	s, bad, id := deadOf(t, enginetest.Shared(t))
	bad.mended.Store(true)
	var replayed atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if a := s.send(t, zoomOf(t.Name(), "meeting.started")); a.Replayed {
				replayed.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, replayed.Load())
	s.handled(t, id)
	require.EqualValues(t, 2, bad.calls.Load())
}

func TestARouteThatIsGone(t *testing.T) {
	t.Parallel()
	other := &flaky{}
	other.mended.Store(true)
	for _, c := range []struct {
		name string
		bind func(*handler.Table)
		want string
	}{
		{"is a dead letter again when nothing takes its place", nil, "zoom/only: route gone"},
		{"is followed by the route that takes the event today", func(table *handler.Table) {
			handler.On(table, "zoom", "meeting.*", other.handle, handler.Name("zoom/heir"))
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _, id := deadOf(t, enginetest.Shared(t))
			old := s.latest(t, id).GetExecution().GetRunId()
			s.redeploy(t, yaml(), c.bind)
			require.NoError(t, s.reset(t, id, old, t.Name()))
			if c.want == "" {
				s.handled(t, id)
				require.EqualValues(t, 1, other.calls.Load())
				return
			}
			until(t, "the replay fails", func() bool {
				info := s.latest(t, id)
				return info.GetExecution().GetRunId() != old && info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_FAILED
			})
			require.Contains(t, s.dead(t, id), c.want)
			keep(t, s, "route_gone", id, s.latest(t, id).GetExecution().GetRunId())
		})
	}
}

func TestAnEventThatSomebodyEndsByHandIsAbandoned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(t *testing.T, s *system, id string) error
		want enums.WorkflowExecutionStatus
	}{
		{"terminated", func(t *testing.T, s *system, id string) error {
			return s.client.TerminateWorkflow(t.Context(), id, "", "given up on")
		}, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED},
		{"cancelled", func(t *testing.T, s *system, id string) error {
			return s.client.CancelWorkflow(t.Context(), id, "")
		}, enums.WORKFLOW_EXECUTION_STATUS_CANCELED},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bad := &flaky{}
			s := up(t, yaml(), func(table *handler.Table) {
				handler.On(table, "zoom", "*", bad.handle, handler.Backoff(time.Hour, 1, time.Hour))
			})
			id := s.send(t, zoom(t, "meeting.started")).EventID
			until(t, "the first attempt is over", func() bool { return s.latest(t, id).GetHistoryLength() > 6 })
			require.NoError(t, c.end(t, s, id))
			require.Error(t, s.result(t, id))
			require.Equal(t, c.want, s.latest(t, id).GetStatus())
			require.Equal(t, event.ProcessEvent, s.latest(t, id).GetType().GetName())
			if c.want == enums.WORKFLOW_EXECUTION_STATUS_CANCELED {
				keep(t, s, "cancelled", id, firstRun(t, s, id))
			}
			repeat := s.send(t, zoom(t, "meeting.started"))
			require.Equal(t, 200, repeat.Status)
			require.True(t, repeat.Duplicate)
			require.Equal(t, "abandoned", s.answers.last().Outcome)
			require.EqualValues(t, 1, bad.calls.Load())
		})
	}
}

func TestAnEventThatNobodyTakesAndItsSourceIgnoresIsClosed(t *testing.T) {
	t.Parallel()
	s := up(t, yaml("    unmatched: ignore"), nil)
	a := s.send(t, zoom(t, "foo.bar"))
	require.False(t, a.Ignored, "it is started: which routes there are is the worker's to know")
	require.NoError(t, s.result(t, a.EventID))
	keep(t, s, "unmatched_ignored", a.EventID, firstRun(t, s, a.EventID))
	require.True(t, s.send(t, zoom(t, "foo.bar")).Duplicate)
}

func TestAHandlerThatOutlastsItsTimeOutFails(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	s := up(t, yaml(), func(table *handler.Table) {
		one, brief := handler.Attempts(1), handler.Timeout(200*time.Millisecond)
		handler.On(table, "zoom", "meeting.listens", func(ctx context.Context, _ handler.Event[[]byte]) error {
			<-ctx.Done()
			return ctx.Err()
		}, one, brief)
		handler.On(table, "zoom", "meeting.hangs", func(context.Context, handler.Event[[]byte]) error {
			<-release
			return nil
		}, handler.Attempts(2), brief, handler.Backoff(100*time.Millisecond, 1, time.Second))
	})
	listens := s.send(t, zoom(t, "meeting.listens")).EventID
	hangs := s.send(t, zoom(t, "meeting.hangs")).EventID
	require.Contains(t, s.dead(t, listens), "zoom/meeting/listens: context deadline exceeded (Timeout, attempts: 1,")
	text := s.dead(t, hangs)
	require.Contains(t, text, "zoom/meeting/hangs: no end within the time-out: it hung, or its worker died (Timeout, attempts: 2,")
	keep(t, s, "timed_out", hangs, firstRun(t, s, hangs))
}

func TestAHandlerWithALongTimeOutIsNotTriedWithinTheWorkflowTask(t *testing.T) {
	t.Parallel()
	f := &flaky{}
	f.mended.Store(true)
	s := up(t, yaml(), func(table *handler.Table) {
		handler.On(table, "zoom", "*", f.handle, handler.Timeout(6*time.Second))
	})
	id := s.send(t, zoom(t, "meeting.started")).EventID
	require.NoError(t, s.result(t, id))
	activities := 0
	for _, e := range s.history(t, id, "") {
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
			activities++
			require.Equal(t, "zoom/*", a.GetActivityType().GetName())
			require.EqualValues(t, 3, a.GetRetryPolicy().GetMaximumAttempts())
		}
	}
	require.Equal(t, 1, activities)
	require.EqualValues(t, 1, f.calls.Load())
	keep(t, s, "long_timeout", id, firstRun(t, s, id))
}
