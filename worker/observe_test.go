package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/payload"
	"github.com/grapnel/grapnel/worker"
	"github.com/grapnel/grapnel/workflows"
)

// heard is an observer that keeps what it is told.
type heard struct {
	handled  []worker.End
	died     []event.Letter
	replayed int
	attempts []worker.Attempt
}

func (h *heard) Handled(_ event.Event, end worker.End)   { h.handled = append(h.handled, end) }
func (h *heard) Died(_ event.Event, letter event.Letter) { h.died = append(h.died, letter) }
func (h *heard) Replayed(event.Event)                    { h.replayed++ }
func (h *heard) Attempted(a worker.Attempt)              { h.attempts = append(h.attempts, a) }

// observed is an environment of the real workflows and activities, with one handler.
func observed(t *testing.T, to worker.Observer, handle func() error) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	env := quietSuite().NewTestWorkflowEnvironment()
	env.SetWorkerOptions(options(worker.Observe(to)))
	workflows.Register(env)
	withHandler(handle).Register(env)
	return env
}

func quietSuite() *testsuite.WorkflowTestSuite {
	suite := &testsuite.WorkflowTestSuite{}
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	return suite
}

func options(i interceptor.WorkerInterceptor) sdkworker.Options {
	return sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{i}}
}

// withHandler makes activities with one handler, and a source whose events may be ignored.
func withHandler(handle func() error) *activities.Activities {
	table := &handler.Table{}
	handler.On(table, "shop", "paid", func(context.Context, handler.Event[map[string]any]) error { return handle() },
		handler.Attempts(2))
	a := activities.New(nil, "grapnel").WithHandlers(table)
	a.Configure(activities.Configuration{Ignores: func(source string) bool { return source == "quiet" }})
	return a
}

func TestTheObserverHearsOfEveryEvent(t *testing.T) {
	paid := event.Event{ID: "1", Source: "shop", Type: "paid", Received: time.Now()}
	body := payload.Body([]byte(`{}`))
	t.Run("that is handled at its second attempt", func(t *testing.T) {
		h, tries := &heard{}, 0
		env := observed(t, h, func() error {
			if tries++; tries == 1 {
				return errors.New("not yet")
			}
			return nil
		})
		env.ExecuteWorkflow(event.ProcessEvent, paid, body, event.Past{})
		require.NoError(t, env.GetWorkflowError())
		require.Len(t, h.handled, 1)
		require.False(t, h.handled[0].Ignored || h.handled[0].Replayed)
		require.Len(t, h.attempts, 2)
		first, second := h.attempts[0], h.attempts[1]
		require.Equal(t, []any{"1", 1, worker.Failed, true}, []any{first.Event.ID, first.Number, first.Result, first.Again})
		require.Equal(t, []any{"1", 2, worker.Done, false}, []any{second.Event.ID, second.Number, second.Result, second.Again})
	})
	t.Run("that is handled after a replay", func(t *testing.T) {
		h := &heard{}
		env := observed(t, h, func() error { return nil })
		env.ExecuteWorkflow(event.ProcessEvent, paid, body, event.Past{Replays: []event.Replay{{Error: "before"}}})
		require.NoError(t, env.GetWorkflowError())
		require.Len(t, h.handled, 1)
		require.True(t, h.handled[0].Replayed)
	})
	t.Run("that is ignored", func(t *testing.T) {
		h := &heard{}
		observe, quiet := options(worker.Observe(h)), event.Event{ID: "2", Source: "quiet", Type: "x"}
		// The environment of workflows shows interceptors no result of a local activity, so the
		// plan is made in one of activities first.
		plan := quietSuite().NewTestActivityEnvironment()
		plan.SetWorkerOptions(observe)
		withHandler(nil).Register(plan)
		_, err := plan.ExecuteActivity(event.ActivityRoute, event.Ask{Event: quiet}, body)
		require.NoError(t, err)
		env := quietSuite().NewTestWorkflowEnvironment()
		env.SetWorkerOptions(observe)
		workflows.Register(env)
		withHandler(nil).Register(env)
		env.ExecuteWorkflow(event.ProcessEvent, quiet, body, event.Past{})
		require.NoError(t, env.GetWorkflowError())
		require.Len(t, h.handled, 1)
		require.True(t, h.handled[0].Ignored)
		require.Empty(t, h.attempts)
	})
	t.Run("that nobody can handle", func(t *testing.T) {
		h := &heard{}
		env := observed(t, h, func() error { return handler.Permanent(errors.New("never")) })
		env.ExecuteWorkflow(event.ProcessEvent, paid, body, event.Past{})
		var next *workflow.ContinueAsNewError
		require.ErrorAs(t, env.GetWorkflowError(), &next)
		require.Len(t, h.attempts, 1)
		require.Equal(t, worker.Permanent, h.attempts[0].Result)
		require.Empty(t, h.handled, "it goes on as a dead letter")
	})
	t.Run("that dies", func(t *testing.T) {
		h := &heard{}
		env := observed(t, h, nil)
		env.ExecuteWorkflow(event.DeadLetter, paid, body, event.Letter{Failures: []event.Failure{{Route: "crm", Message: "no"}}})
		require.Error(t, env.GetWorkflowError())
		require.Len(t, h.died, 1)
		require.Equal(t, "crm", h.died[0].Failures[0].Route)
		require.Zero(t, h.replayed)
	})
}
