package handlertest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/activities/handler/handlertest"
)

func TestOnServerTheSameHappensForReal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Temporal server")
	}
	f := &till{answers: []error{errDown, handler.Permanent(errDown)}}
	kit := handlertest.New(t, f.bind, handlertest.OnServer())
	require.Nil(t, kit.Temporal)
	dead := kit.Send("stripe", "invoice.paid")
	dead.RequireDead("the till is down")
	dead.RequireAttempts(2)
	require.Equal(t, 2, dead.Failures[0].Attempts)
	again := dead.Replay()
	again.RequireHandled()
	again.RequireAttempts(1)
	require.True(t, dead.Repeat().Duplicate)
	kit.Handle("stripe", "invoice.paid", []byte(`{}`)).RequireHandled()
}

func TestTheFakeTemporalKnowsWhatRuns(t *testing.T) {
	ctx, f := context.Background(), &handlertest.Temporal{}
	once := client.StartWorkflowOptions{ID: "order-1", WorkflowExecutionErrorWhenAlreadyStarted: true}
	_, err := f.DescribeWorkflowExecution(ctx, "order-1", "")
	require.ErrorContains(t, err, "no workflow order-1")

	run, err := f.ExecuteWorkflow(ctx, once, TestTheFakeTemporalKnowsWhatRuns, 7)
	require.NoError(t, err)
	require.Equal(t, "TestTheFakeTemporalKnowsWhatRuns", f.Calls()[1].Workflow)
	_, err = f.ExecuteWorkflow(ctx, once, "Order")
	require.ErrorContains(t, err, "runs already")
	require.ErrorContains(t, run.Get(ctx, nil), "has not ended")

	f.Complete("order-1", map[string]int{"paid": 7}, nil)
	var result struct{ Paid int }
	require.NoError(t, run.Get(ctx, &result))
	require.Equal(t, 7, result.Paid)
	_, err = f.ExecuteWorkflow(ctx, once, "Order")
	require.NoError(t, err, "it may run again")

	f.Complete("order-1", nil, errDown)
	require.ErrorIs(t, f.GetWorkflow(ctx, "order-1", "").Get(ctx, nil), errDown)
	_, err = f.QueryWorkflow(ctx, "order-1", "", "total")
	require.ErrorContains(t, err, "OnServer")
	f.Fail(errDown)
	require.ErrorIs(t, f.SignalWorkflow(ctx, "order-1", "", "paid", 7), errDown)
	require.ErrorIs(t, f.CancelWorkflow(ctx, "order-1", ""), errDown)
}
