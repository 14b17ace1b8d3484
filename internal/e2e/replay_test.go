package e2e_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/grapnel/grapnel/activities/handler"
)

// flaky is a handler that fails until it is mended.
type flaky struct {
	mended atomic.Bool
	calls  atomic.Int32
}

func (f *flaky) handle(_ context.Context, e handler.Event[[]byte]) error {
	f.calls.Add(1)
	if !f.mended.Load() {
		return errors.New("the other side is down")
	}
	return nil
}

// deadLetters is the dead-letter store, as people query it.
const deadLetters = `WorkflowType="DeadLetter" AND ExecutionStatus="Failed"`

func TestAFailedEventIsADeadLetterThatAnyResetReplays(t *testing.T) {
	t.Parallel()
	// All of them die before any is replayed: see unlisted.
	type letter struct {
		*system
		good, bad *flaky
		id        string
		reset     func(t *testing.T, s *system, id string)
	}
	server, letters := ownServer(t), map[string]letter{}
	for name, reset := range map[string]func(t *testing.T, s *system, id string){
		"the temporal command": func(t *testing.T, s *system, id string) {
			s.temporal(t, "workflow", "reset", "--workflow-id", id, "--type", "FirstWorkflowTask", "--reason", "mended")
		},
		"the temporal command, in batch": func(t *testing.T, s *system, id string) {
			query := deadLetters + ` AND WorkflowId="` + id + `"`
			until(t, "visibility lists the dead letter", func() bool { return s.count(t, query) == 1 })
			s.temporal(t, "workflow", "reset", "--query", query, "--type", "FirstWorkflowTask", "--reason", "mended", "--yes")
		},
		"the button of the Web UI": webUIReset,
		"the sender, sending it again": func(t *testing.T, s *system, _ string) {
			require.True(t, s.send(t, zoomOf(s.queue, "meeting.started")).Replayed)
		},
	} {
		good, bad := &flaky{}, &flaky{}
		good.mended.Store(true)
		s := upAs(t, server, t.Name()+"/"+name, yaml(), func(table *handler.Table) {
			handler.On(table, "zoom", "meeting.started", good.handle, handler.Name("zoom/good"))
			handler.On(table, "zoom", "meeting.*", bad.handle, handler.Name("zoom/bad"))
		})
		letters[name] = letter{s, good, bad, s.send(t, zoomOf(s.queue, "meeting.started")).EventID, reset}
	}
	for _, l := range letters {
		text := l.dead(t, l.id)
		require.Contains(t, text, "zoom/bad: the other side is down")
		require.Contains(t, text, "attempts: 3")
		require.NotContains(t, text, "zoom/good")
		require.EqualValues(t, 3, l.bad.calls.Load())
		keep(t, l.system, "partial_failure", l.id, firstRun(t, l.system, l.id))
		keep(t, l.system, "dead", l.id, l.latest(t, l.id).GetExecution().GetRunId())
	}
	for name, l := range letters {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, good, bad, id := l.system, l.good, l.bad, l.id
			bad.mended.Store(true)
			l.reset(t, s, id)
			s.handled(t, id)
			require.EqualValues(t, 4, bad.calls.Load())
			require.EqualValues(t, 1, good.calls.Load(), "a route that succeeded runs once")
			s.unlisted(t, id)
			keep(t, s, "handled_by_replay", id, s.latest(t, id).GetExecution().GetRunId())
			s.keepReset(t, id)
		})
	}
}

// webUIReset is the request that the Web UI's reset button makes: to the end of
// the first workflow task, by its event ID.
func webUIReset(t *testing.T, s *system, id string) {
	run := s.latest(t, id).GetExecution().GetRunId()
	var task int64
	for _, e := range s.history(t, id, run) {
		if e.GetEventType() == enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			task = e.GetEventId()
			break
		}
	}
	_, err := s.client.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace:                 s.Namespace,
		WorkflowExecution:         &common.WorkflowExecution{WorkflowId: id, RunId: run},
		WorkflowTaskFinishEventId: task,
		RequestId:                 t.Name(),
	})
	require.NoError(t, err)
}

// keepReset records the reset run of a dead letter: it continued as new.
func (s *system) keepReset(t *testing.T, id string) {
	r, err := s.client.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.Namespace, Query: `WorkflowType="DeadLetter" AND ExecutionStatus="ContinuedAsNew" AND WorkflowId="` + id + `"`,
	})
	require.NoError(t, err)
	for _, e := range r.GetExecutions() {
		keep(t, s, "replayed", id, e.GetExecution().GetRunId())
	}
}

func TestAReplayThatFailsIsADeadLetterAgain(t *testing.T) {
	t.Parallel()
	bad := &flaky{}
	s := up(t, yaml(), func(table *handler.Table) {
		handler.On(table, "zoom", "*", bad.handle, handler.Attempts(1))
	})
	id := s.send(t, zoom(t, "meeting.started")).EventID
	require.NotContains(t, s.dead(t, id), "replayed")
	run := s.latest(t, id).GetExecution().GetRunId()
	webUIReset(t, s, id)
	until(t, "the replay fails", func() bool {
		info := s.latest(t, id)
		return info.GetExecution().GetRunId() != run && info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_FAILED
	})
	require.Regexp(t, `replayed .* after: the other side is down`, s.dead(t, id))
	require.EqualValues(t, 2, bad.calls.Load())
	keep(t, s, "dead_after_replay", id, s.latest(t, id).GetExecution().GetRunId())

	t.Run("the sender's repeats do not replay it for a while", func(t *testing.T) {
		a := s.send(t, zoomOf("TestAReplayThatFailsIsADeadLetterAgain", "meeting.started"))
		require.True(t, a.Duplicate)
		require.False(t, a.Replayed)
	})
}

func TestAReplayFindsTheHandlerOfALaterDeploy(t *testing.T) {
	t.Parallel()
	server := up(t, yaml(), nil)
	id := server.send(t, zoom(t, "foo.bar")).EventID
	server.dead(t, id)
	good := &flaky{}
	good.mended.Store(true)
	table := &handler.Table{}
	handler.On(table, "zoom", "foo.*", good.handle)
	deployed := *server
	deployed.queue = server.queue
	server.stopWorker()
	deployed.worker(t, mustParse(t, yaml()), table)
	webUIReset(t, &deployed, id)
	until(t, "the new handler runs", func() bool { return good.calls.Load() == 1 })
	require.NoError(t, server.result(t, id))
}

func TestAnEventIsTriedWithRestsThatGrow(t *testing.T) {
	t.Parallel()
	bad := &flaky{}
	s := up(t, yaml(), func(table *handler.Table) { handler.On(table, "zoom", "*", bad.handle) })
	id := s.send(t, zoom(t, "meeting.started")).EventID
	s.dead(t, id)
	var started, scheduled int
	history := s.history(t, id, firstRun(t, s, id))
	for _, e := range history {
		if a := e.GetTimerStartedEventAttributes(); a != nil {
			started++
			require.Equal(t, int64(1), a.GetStartToFireTimeout().GetSeconds())
			require.Contains(t, string(e.GetUserMetadata().GetSummary().GetData()), "the other side is down")
		}
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
			scheduled++
			require.Equal(t, int64(2), a.GetRetryPolicy().GetInitialInterval().GetSeconds())
			require.EqualValues(t, 2, a.GetRetryPolicy().GetMaximumAttempts())
		}
	}
	require.Equal(t, 1, started)
	require.Equal(t, 1, scheduled)
	keep(t, s, "tried_to_the_end", id, firstRun(t, s, id))
}

func TestAnEventThatIsMendedInTimeIsHandled(t *testing.T) {
	t.Parallel()
	f := &flaky{}
	s := up(t, yaml(), func(table *handler.Table) {
		handler.On(table, "zoom", "*", func(ctx context.Context, e handler.Event[[]byte]) error {
			f.mended.Store(e.Attempt == 3)
			return f.handle(ctx, e)
		})
	})
	id := s.send(t, zoom(t, "meeting.started")).EventID
	require.NoError(t, s.result(t, id))
	require.EqualValues(t, 3, f.calls.Load())
	keep(t, s, "retried", id, s.latest(t, id).GetExecution().GetRunId())
}

func TestAPermanentErrorIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	type payload struct {
		Event int `json:"event"` // it is a text
	}
	s := up(t, yaml(), func(table *handler.Table) {
		handler.On(table, "zoom", "*", func(context.Context, handler.Event[payload]) error { return nil })
	})
	id := s.send(t, zoom(t, "meeting.started")).EventID
	text := s.dead(t, id)
	require.Contains(t, text, "does not fit")
	require.Contains(t, text, "attempts: 1")
	keep(t, s, "permanent", id, firstRun(t, s, id))
}

func TestAPanicIsADeadLetterWithItsStack(t *testing.T) {
	t.Parallel()
	s := up(t, yaml(), func(table *handler.Table) {
		handler.On(table, "zoom", "*", func(context.Context, handler.Event[[]byte]) error { panic("at the disco") }, handler.Attempts(1))
	})
	text := s.dead(t, s.send(t, zoom(t, "meeting.started")).EventID)
	require.Contains(t, text, "panic: at the disco")
	require.Contains(t, text, "replay_test.go")
}
