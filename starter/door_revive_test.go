package starter_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/spool"
	"github.com/grapnel/grapnel/starter"
)

// outcomes is the observer that notes what became of each request.
type outcomes struct{ heard chan starter.Answer }

// Began implements starter.Observer.
func (outcomes) Began() {}

func (o outcomes) Answered(a starter.Answer) { o.heard <- a }

// listen gives the door an observer with room for many answers.
func listen() (outcomes, func(*starter.Options)) {
	o := outcomes{make(chan starter.Answer, 1000)}
	return o, func(s *starter.Options) { s.Observer = o }
}

func TestWhatARepeatIsByTheStateOfItsEvent(t *testing.T) {
	for _, test := range []struct {
		name    string
		kind    string
		status  enums.WorkflowExecutionStatus
		outcome string
	}{
		{"it runs", event.ProcessEvent, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, "duplicate"},
		{"it is handled", event.ProcessEvent, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, "duplicate"},
		{"it goes on as a new run", event.ProcessEvent, enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, "duplicate"},
		{"it failed outside the plan", event.ProcessEvent, enums.WORKFLOW_EXECUTION_STATUS_FAILED, "duplicate"},
		{"somebody ended it", event.ProcessEvent, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, "abandoned"},
		{"its time was over", event.ProcessEvent, enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, "abandoned"},
		{"somebody cancelled it", event.ProcessEvent, enums.WORKFLOW_EXECUTION_STATUS_CANCELED, "abandoned"},
		{"its dead letter was discarded", event.DeadLetter, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, "abandoned"},
		{"its dead letter is being written", event.DeadLetter, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, "duplicate"},
		{"it is a dead letter", event.DeadLetter, enums.WORKFLOW_EXECUTION_STATUS_FAILED, "replayed"},
		{"its state is unknown", event.ProcessEvent, enums.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED, "duplicate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			heard, with := listen()
			w, engine := openFake(t, yaml("", doorSources...), with)
			id := w.zoom(t, meeting("1")).taken(t).EventID
			require.Equal(t, "started", (<-heard.heard).Outcome)
			engine.change(t, id, func(r *fakeRun) { r.kind, r.status = test.kind, test.status })
			a := w.zoom(t, meeting("1")).taken(t)
			require.Equal(t, id, a.EventID)
			require.Equal(t, test.outcome == "replayed", a.Replayed)
			require.Equal(t, test.outcome != "replayed", a.Duplicate)
			require.Equal(t, test.outcome, (<-heard.heard).Outcome)
			starts, _, resets := engine.calls()
			require.Equal(t, 1, starts)
			require.Equal(t, test.outcome == "replayed", resets == 1)
			if test.outcome == "abandoned" {
				require.Equal(t, 1, w.logs.FilterMessage("repeat of an event that somebody ended by hand").
					FilterField(zap.String("outcome", "abandoned")).Len())
			}
		})
	}
}

func TestADeadLetterIsRevivedByALiveRequest(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	id := w.zoom(t, meeting("1")).taken(t).EventID
	engine.dies(t, id, "run-7")
	require.True(t, w.zoom(t, meeting("1")).taken(t).Replayed)
	reset := engine.resets[0]
	require.Equal(t, "replay-run-7", reset.GetRequestId())
	require.Equal(t, id, reset.GetWorkflowExecution().GetWorkflowId())
	require.Equal(t, "run-7", reset.GetWorkflowExecution().GetRunId())
	require.Equal(t, "default", reset.GetNamespace())
	require.Equal(t, int64(4), reset.GetWorkflowTaskFinishEventId())

	t.Run("and not again within five minutes", func(t *testing.T) {
		engine.dies(t, id, "run-8")
		w.now.advance(5*time.Minute - time.Second)
		require.True(t, w.zoom(t, meeting("1")).taken(t).Duplicate)
		_, _, resets := engine.calls()
		require.Equal(t, 1, resets)
	})
	t.Run("but after them", func(t *testing.T) {
		w.now.advance(time.Second)
		require.True(t, w.zoom(t, meeting("1")).taken(t).Replayed)
		require.Equal(t, "replay-run-8", engine.resets[1].GetRequestId())
	})
}

func TestADeadLetterThatAnotherReceiverRevivedRests(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	id := w.zoom(t, meeting("1")).taken(t).EventID
	engine.dies(t, id, "run-7")
	engine.change(t, id, func(r *fakeRun) { r.setMemo(map[string]any{event.MemoReplayed: w.now.time().Add(-time.Minute)}) })
	require.True(t, w.zoom(t, meeting("1")).taken(t).Duplicate)
	w.now.advance(4 * time.Minute)
	require.True(t, w.zoom(t, meeting("1")).taken(t).Replayed)
}

func TestAClockThatWasSetBackKeepsNoDeadLetter(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	id := w.zoom(t, meeting("1")).taken(t).EventID
	engine.dies(t, id, "run-7")
	engine.change(t, id, func(r *fakeRun) { r.setMemo(map[string]any{event.MemoReplayed: w.now.time().Add(time.Hour)}) })
	require.True(t, w.zoom(t, meeting("1")).taken(t).Replayed)
}

func TestADeadLetterThatCouldNotBeRevivedIsRevivedByTheNextRequest(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	engine.dies(t, w.zoom(t, meeting("1")).taken(t).EventID, "run-7")
	engine.onReset = func(context.Context, int) error { return serviceerror.NewUnavailable("away") }
	require.Equal(t, 503, w.zoom(t, meeting("1")).status)
	engine.onReset = nil
	require.True(t, w.zoom(t, meeting("1")).taken(t).Replayed)
}

func TestADeadLetterThatIsNotTheLatestRunIsLeft(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	id := w.zoom(t, meeting("1")).taken(t).EventID
	engine.dies(t, id, "run-7")
	engine.onReset = func(context.Context, int) error { return serviceerror.NewNotFound("no such run") }
	a := w.zoom(t, meeting("1")).taken(t)
	require.True(t, a.Duplicate)
	require.False(t, a.Replayed)
}

func TestADeadLetterOfAForgedRequestStaysDead(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	id := w.zoom(t, meeting("1")).taken(t).EventID
	engine.dies(t, id, "run-7")
	body := meeting("1")
	require.Equal(t, 401, w.post(t, "zoom", body, signZoom(body, w.now.time(), otherSecret)...).status)
	require.Equal(t, 400, w.post(t, "zoom", body, signZoom(body, w.now.time().Add(-time.Hour), goodSecret)...).status)
	_, describes, resets := engine.calls()
	require.Zero(t, describes+resets)
}

func TestTheDrainRevivesNothing(t *testing.T) {
	disk, with := withSpool(t, spool.Options{})
	w, engine := openFake(t, yaml("", doorSources...), with)
	id := w.zoom(t, meeting("1")).taken(t).EventID
	engine.dies(t, id, "run-7")
	engine.onDescribe = func(_ context.Context, n int) error {
		if n == 1 {
			return serviceerror.NewUnavailable("away")
		}
		return nil
	}
	require.True(t, w.zoom(t, meeting("1")).taken(t).Queued)
	drain(t, w, func() bool { return disk.Stats().Depth == 0 })
	starts, describes, resets := engine.calls()
	require.Equal(t, 1, starts)
	require.Equal(t, 2, describes)
	require.Zero(t, resets)
}

// drain runs the spool's drain until something holds.
func drain(t *testing.T, w *doorway, until func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Drain(ctx) }()
	require.Eventually(t, until, time.Minute, time.Millisecond)
	cancel()
	<-done
}
