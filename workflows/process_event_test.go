package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/workflows"
)

var paid = event.Event{ID: "id", Source: "shop", Type: "paid", Subject: "42"}

// processing is an environment in which the plan is given and attempts are made
// by a function.
func processing(t *testing.T, plan func() (event.Plan, error), run func(event.Task) error) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	suite := &testsuite.WorkflowTestSuite{}
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	workflows.Register(env)
	register := func(name string, fn any) {
		env.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
	register(event.ActivityRoute, func(context.Context, event.Ask, converter.RawValue) (event.Plan, error) { return plan() })
	attempt := func(_ context.Context, task event.Task, _ converter.RawValue) error { return run(task) }
	register(event.ActivityTry, attempt)
	register(event.ActivityDeliver, attempt)
	register(event.ActivityAdmit, func(context.Context, event.Task) error { return nil })
	return env
}

func bodyOf(size int) converter.RawValue {
	return converter.NewRawValue(&common.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(converter.MetadataEncodingBinary)},
		Data:     make([]byte, size),
	})
}

func routes(n int) event.Plan {
	var p event.Plan
	for i := range n {
		p.Routes = append(p.Routes, event.Route{
			Name: fmt.Sprint("d", i), Activity: event.ActivityDeliver, Timeout: time.Second,
			Retry: event.Retry{Attempts: 2, Initial: time.Second, Multiplier: 2, Max: time.Minute},
		})
	}
	return p
}

// letterOf runs an event and gives the dead letter that it goes on as.
func letterOf(t *testing.T, env *testsuite.TestWorkflowEnvironment, body converter.RawValue, past event.Past) (l event.Letter) {
	t.Helper()
	env.ExecuteWorkflow(event.ProcessEvent, paid, body, past)
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &next)
	require.Equal(t, event.DeadLetter, next.WorkflowType.Name)
	var e event.Event
	var same converter.RawValue
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &e, &same, &l))
	require.Equal(t, paid, e)
	require.Equal(t, body.Payload().GetData(), same.Payload().GetData())
	return l
}

func TestAnEventWhosePlanCanNotBeMadeIsADeadLetter(t *testing.T) {
	env := processing(t, func() (event.Plan, error) { return event.Plan{}, errors.New("no table") }, nil)
	l := letterOf(t, env, bodyOf(2), event.Past{Done: []string{"a"}})
	require.Len(t, l.Failures, 1)
	require.Empty(t, l.Failures[0].Route)
	require.Contains(t, l.Failures[0].Message, "no table")
	require.Equal(t, []string{"a"}, l.Done)
}

// A worker that is short of CPU makes no plan in time; that is no fault of the event.
func TestAPlanThatComesLateIsAskedForAgain(t *testing.T) {
	late := func() error { return temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil) }
	asked, handled := 0, 0
	env := processing(t, func() (event.Plan, error) {
		if asked++; asked < 10 {
			return event.Plan{}, late()
		}
		return routes(1), nil
	}, func(event.Task) error { handled++; return nil })
	env.ExecuteWorkflow(event.ProcessEvent, paid, bodyOf(2), event.Past{})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, 10, asked)
	require.Equal(t, 1, handled)

	l := letterOf(t, processing(t, func() (event.Plan, error) { return event.Plan{}, late() }, nil), bodyOf(2), event.Past{})
	require.Equal(t, event.FailureTimeout, l.Failures[0].Type, "one that never comes is told of")
}

// A handler may kill its worker. In the first workflow task that is seen; in a later one it
// would be tried for ever, one worker after the other.
func TestNoHandlerIsTriedWithinALaterTask(t *testing.T) {
	for name, first := range map[string]error{
		"the plan came late": temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil),
		"the source was paused": temporal.NewApplicationErrorWithOptions("paused", event.FailureDeferred,
			temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{event.Detail{}}}),
		"it came at once": nil,
	} {
		t.Run(name, func(t *testing.T) {
			asked, within, handled := 0, 0, 0
			env := processing(t, func() (event.Plan, error) {
				if asked++; asked == 1 && first != nil {
					return event.Plan{}, first
				}
				p := routes(1)
				p.Routes[0].Activity = "handler"
				return p, nil
			}, func(event.Task) error { within++; return nil })
			env.RegisterActivityWithOptions(func(context.Context, event.Task, converter.RawValue) error {
				handled++
				return nil
			}, activity.RegisterOptions{Name: "handler"})
			env.ExecuteWorkflow(event.ProcessEvent, paid, bodyOf(2), event.Past{})
			require.NoError(t, env.GetWorkflowError())
			if first == nil {
				require.Equal(t, []int{1, 0}, []int{within, handled})
			} else {
				require.Equal(t, []int{0, 1}, []int{within, handled})
			}
		})
	}
}

// What a dead letter carries of errors it carries twice, in its input and as the
// text it fails with.
func TestWhatADeadLetterCarriesOfErrorsIsBounded(t *testing.T) {
	for _, n := range []int{1, 10, 100} {
		t.Run(fmt.Sprint(n, " routes that fail at length"), func(t *testing.T) {
			long := strings.Repeat("é", 400<<10/n)
			env := processing(t, func() (event.Plan, error) { return routes(n), nil }, func(task event.Task) error {
				return temporal.NewApplicationErrorWithOptions(task.Route.Name+long, "Long", temporal.ApplicationErrorOptions{
					NonRetryable: true, Details: []any{event.Detail{Attempt: 1, Stack: long}},
				})
			})
			l := letterOf(t, env, bodyOf(2), event.Past{})
			require.Len(t, l.Failures, n)
			size := 0
			for i, f := range l.Failures {
				require.Equal(t, fmt.Sprint("d", i), f.Route)
				require.True(t, strings.HasPrefix(f.Message, f.Route+"é"))
				size += len(f.Message) + len(f.Stack)
			}
			require.LessOrEqual(t, 2*size, 256<<10+16*n)
			require.Greater(t, 2*size, 200<<10, "what fits is kept")
		})
	}
}

func TestOnlyWhatFailedIsLeftAndWhatSucceededIsRemembered(t *testing.T) {
	plan := routes(3)
	plan.Gone = []string{"old"}
	env := processing(t, func() (event.Plan, error) { return plan, nil }, func(task event.Task) error {
		if task.Route.Name == "d1" {
			return errors.New("down")
		}
		return nil
	})
	l := letterOf(t, env, bodyOf(2), event.Past{
		Left: []string{"old", "d0", "d1", "d2"}, Done: []string{"first"},
		Replays: []event.Replay{{Error: "before"}},
	})
	require.Len(t, l.Failures, 2)
	require.Equal(t, event.FailureGone, l.Failures[0].Type)
	require.Equal(t, "old", l.Failures[0].Route)
	require.Equal(t, "d1", l.Failures[1].Route)
	require.Equal(t, "down", l.Failures[1].Message)
	require.Equal(t, 2, l.Failures[1].Attempts)
	require.Equal(t, []string{"first", "d0", "d2"}, l.Done)
	require.Equal(t, []event.Replay{{Error: "before"}}, l.Replays)
}

// A route that lives on another task queue, or may take long, is not tried
// within the workflow task, and none is in a task that is not the first.
func TestWhatIsNotTriedWithinTheWorkflowTask(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*event.Route)
		length int
		tries  int
	}{
		{"an ordinary route is", func(*event.Route) {}, 3, 1},
		{"a route with a long time-out", func(r *event.Route) { r.Timeout = 6 * time.Second }, 3, 0},
		{"a route of another task queue", func(r *event.Route) { r.TaskQueue = "billing" }, 3, 0},
		{"a route in a task that came back", func(*event.Route) {}, 5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := routes(1)
			plan.Routes[0].Activity = "Regular"
			c.change(&plan.Routes[0])
			var tries, regular atomic.Int32
			env := processing(t, func() (event.Plan, error) { return plan, nil }, func(event.Task) error {
				tries.Add(1)
				return nil
			})
			env.RegisterActivityWithOptions(func(context.Context, event.Task, converter.RawValue) error {
				regular.Add(1)
				return nil
			}, activity.RegisterOptions{Name: "Regular"})
			env.SetCurrentHistoryLength(c.length)
			env.ExecuteWorkflow(event.ProcessEvent, paid, bodyOf(2), event.Past{})
			require.NoError(t, env.GetWorkflowError())
			require.EqualValues(t, c.tries, tries.Load())
			require.EqualValues(t, 1-c.tries, regular.Load())
		})
	}
}

func TestARouteWhoseConditionFailedIsInTheDeadLetterAndTheOthersRun(t *testing.T) {
	undecided := event.Failure{Route: "crm", Type: event.FailureUndecided, Message: "when: no such key: amount", Cause: "when"}
	env := processing(t, func() (event.Plan, error) {
		plan := routes(1)
		plan.Failed = []event.Failure{undecided}
		return plan, nil
	}, func(event.Task) error { return nil })
	l := letterOf(t, env, bodyOf(2), event.Past{})
	require.Equal(t, []event.Failure{undecided}, l.Failures)
	require.Equal(t, []string{"d0"}, l.Done)
	past := l.Past(event.Replay{})
	require.Equal(t, []string{"crm"}, past.Left)
	require.Equal(t, []string{"crm"}, past.Undecided)
}

func TestAnEventThatEveryConditionDeclinesSaysWhose(t *testing.T) {
	env := processing(t, func() (event.Plan, error) {
		return event.Plan{Declined: []string{"crm", "erp"}}, nil
	}, nil)
	l := letterOf(t, env, bodyOf(2), event.Past{})
	require.Equal(t, event.FailureUnmatched, l.Failures[0].Type)
	require.Equal(t, "no handler for shop/paid: the condition of crm, erp does not hold", l.Failures[0].Message)
}
