package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// put off is what an attempt ends with that has to wait.
func putOff(task event.Task, until time.Time) error {
	return temporal.NewApplicationErrorWithOptions(task.Route.Name+" waits: circuit open", event.FailureDeferred,
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{event.Detail{Attempt: task.Before, Until: until}}})
}

func TestADeferredEventUsesUpNoAttemptAndIsHandledLater(t *testing.T) {
	var tries []int
	began := time.Time{}
	now := func() time.Time { return began }
	env := processing(t, func() (event.Plan, error) { return routes(1), nil }, func(task event.Task) error {
		tries = append(tries, task.Before)
		if len(tries) <= 20 {
			return putOff(task, now().Add(time.Duration(len(tries))*time.Minute))
		}
		return nil
	})
	began = env.Now()
	env.ExecuteWorkflow(event.ProcessEvent, paid, bodyOf(2), event.Past{})
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, tries, 21)
	for _, before := range tries {
		require.Zero(t, before)
	}
	require.Equal(t, 20*time.Minute, env.Now().Sub(began).Round(time.Second))
}

func TestADeferredEventThatFailsThenHasAllItsAttempts(t *testing.T) {
	calls := 0
	env := processing(t, func() (event.Plan, error) { return routes(1), nil }, func(task event.Task) error {
		if calls++; calls == 1 {
			return putOff(task, time.Time{})
		}
		return temporal.NewApplicationErrorWithOptions("down", "Down", temporal.ApplicationErrorOptions{
			Details: []any{event.Detail{Attempt: calls - 1, Answer: "<html>"}},
		})
	})
	l := letterOf(t, env, bodyOf(2), event.Past{})
	require.Equal(t, 3, calls)
	require.Equal(t, 2, l.Failures[0].Attempts)
	require.Equal(t, "<html>", l.Failures[0].Answer)
}

// An event may wait for weeks, each round of which is history. What is left then
// goes on in another run, with what is done and what has failed.
func TestARunThatWaitsForLongContinuesAsNew(t *testing.T) {
	plan := routes(3)
	env := processing(t, func() (event.Plan, error) { return plan, nil }, func(task event.Task) error {
		switch task.Route.Name {
		case "d0":
			return nil
		case "d1":
			return temporal.NewApplicationErrorWithOptions("no", "No", temporal.ApplicationErrorOptions{NonRetryable: true})
		}
		return putOff(task, time.Time{})
	})
	env.SetCurrentHistoryLength(2001)
	env.ExecuteWorkflow(event.ProcessEvent, paid, bodyOf(2), event.Past{})
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &next)
	require.Equal(t, event.ProcessEvent, next.WorkflowType.Name)
	var e event.Event
	var body converter.RawValue
	var past event.Past
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &e, &body, &past))
	require.Equal(t, []string{"d0"}, past.Done)
	require.Len(t, past.Failed, 1)
	require.Equal(t, "d1", past.Failed[0].Route)
	require.Len(t, past.Pending, 1)
	require.Equal(t, "d2", past.Pending[0].Route.Name)
	require.Contains(t, past.Pending[0].Reason, "circuit open")

	t.Run("which goes on with what is left alone", func(t *testing.T) {
		var ran []string
		env := processing(t, func() (event.Plan, error) { return event.Plan{}, nil }, func(task event.Task) error {
			ran = append(ran, task.Route.Name)
			return nil
		})
		l := letterOf(t, env, bodyOf(2), past)
		require.Equal(t, []string{"d2"}, ran)
		require.Len(t, l.Failures, 1)
		require.Equal(t, "d1", l.Failures[0].Route)
		require.Equal(t, []string{"d0", "d2"}, l.Done)
	})
}

func TestAnAttemptIsToldSinceWhenNothingButTheCircuitWasWaitedFor(t *testing.T) {
	waits := []string{event.WaitsForCircuit, event.WaitsForCircuit, "paused", event.WaitsForCircuit, event.WaitsForCircuit}
	var shut []time.Time
	var now func() time.Time
	env := processing(t, func() (event.Plan, error) { return routes(1), nil }, func(task event.Task) error {
		shut = append(shut, task.Shut)
		n := len(shut)
		if n > len(waits) {
			return nil
		}
		return temporal.NewApplicationErrorWithOptions("waits", event.FailureDeferred, temporal.ApplicationErrorOptions{
			NonRetryable: true, Details: []any{event.Detail{Attempt: task.Before, Until: now().Add(time.Minute), Why: waits[n-1]}},
		})
	})
	now = env.Now
	began := env.Now()
	env.ExecuteWorkflow(event.ProcessEvent, paid, bodyOf(2), event.Past{})
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, shut, 6)
	after := func(i int) time.Duration { return shut[i].Sub(began).Round(time.Second) }
	require.Zero(t, shut[0])
	require.Equal(t, time.Duration(0), after(1))
	require.Equal(t, time.Duration(0), after(2), "from the first wait on")
	require.Zero(t, shut[3], "a pause is no reason to give up")
	require.Equal(t, 3*time.Minute, after(4), "it counts anew")
	require.Equal(t, 3*time.Minute, after(5))
}
