package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/meeting"
	"github.com/grapnel/grapnel/workflows"
)

var (
	three = time.Date(2023, 6, 20, 15, 0, 0, 0, time.UTC)

	factStarted = meeting.Fact{
		Event: "s", Kind: meeting.Started, Time: three, About: meeting.About{ID: "abc==", Topic: "Weekly"},
	}
	factJoined = meeting.Fact{
		Event: "j", Kind: meeting.Joined, Time: three.Add(time.Minute), Person: meeting.Person{Key: "ann", Name: "Ann"},
	}
	factEnded    = meeting.Fact{Event: "e", Kind: meeting.Ended, Time: three.Add(47 * time.Minute)}
	factRecorded = meeting.Fact{
		Event: "r", Kind: meeting.Recorded, Time: three.Add(time.Hour), Recordings: []meeting.Recording{{Type: "MP4"}},
	}
)

// told is a fact that arrives some time after the run began.
type told struct {
	after time.Duration
	fact  meeting.Fact
}

type lastLedger func(context.Context, meeting.Run) (meeting.Ledger, error)

func meetingEnv(t *testing.T, last lastLedger, facts ...told) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	env := new(testsuite.WorkflowTestSuite).NewTestWorkflowEnvironment()
	env.RegisterWorkflowWithOptions(workflows.Meeting, workflow.RegisterOptions{Name: meeting.Workflow})
	if last == nil {
		last = func(context.Context, meeting.Run) (meeting.Ledger, error) {
			return meeting.Ledger{}, errors.New("nothing to read")
		}
	}
	env.RegisterActivityWithOptions((func(context.Context, meeting.Run) (meeting.Ledger, error))(last),
		activity.RegisterOptions{Name: meeting.ActivityLastLedger})
	for _, f := range facts {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(meeting.Signal, f.fact) }, f.after)
	}
	return env
}

func ledgerOf(facts ...meeting.Fact) (l meeting.Ledger) {
	for _, f := range facts {
		l.Apply(f)
	}
	return l
}

func TestAMeetingEndsWhenItIsOverAndQuiet(t *testing.T) {
	all := ledgerOf(factStarted, factJoined, factEnded)
	abandoned := ledgerOf(factStarted, factJoined)
	abandoned.Abandoned = true
	tests := []struct {
		name   string
		facts  []told
		want   meeting.Ledger
		lasted time.Duration
	}{
		{
			"a minute after its end",
			[]told{{0, factStarted}, {time.Minute, factJoined}, {47 * time.Minute, factEnded}},
			all, 48 * time.Minute,
		},
		{
			"whatever the order",
			[]told{{0, factEnded}, {30 * time.Second, factJoined}, {40 * time.Second, factStarted}},
			all, 100 * time.Second,
		},
		{
			"duplicates change nothing but when",
			[]told{{0, factStarted}, {0, factStarted}, {0, factJoined}, {0, factEnded}, {30 * time.Second, factJoined}},
			all, 90 * time.Second,
		},
		{
			"or never told of its end, a day after the last fact",
			[]told{{0, factStarted}, {time.Hour, factJoined}},
			abandoned, 25 * time.Hour,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := meetingEnv(t, nil, tt.facts...)
			began := env.Now()
			env.ExecuteWorkflow(meeting.Workflow, meeting.Start{})
			require.NoError(t, env.GetWorkflowError())
			var got meeting.Ledger
			require.NoError(t, env.GetWorkflowResult(&got))
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.lasted, env.Now().Sub(began))
		})
	}
}

func TestAMeetingsQueryShowsTheLedgerAsItStands(t *testing.T) {
	env := meetingEnv(t, nil, told{0, factStarted}, told{time.Minute, factJoined}, told{47 * time.Minute, factEnded})
	asked := false
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(meeting.Query)
		require.NoError(t, err)
		var v meeting.View
		require.NoError(t, value.Get(&v))
		require.Equal(t, meeting.Open, v.State)
		require.Equal(t, "Weekly", v.Topic)
		require.Equal(t, "Ann", v.Attendance[0].Name)
		asked = true
	}, 10*time.Minute)
	env.ExecuteWorkflow(meeting.Workflow, meeting.Start{})
	require.NoError(t, env.GetWorkflowError())
	require.True(t, asked)
}

func TestALateFactGoesOnFromThePreviousRunThoughReadingItFailsAtFirst(t *testing.T) {
	before := ledgerOf(factStarted, factJoined, factEnded)
	before.Abandoned = true
	reads := 0
	env := meetingEnv(t, func(_ context.Context, run meeting.Run) (meeting.Ledger, error) {
		require.Equal(t, "run-1", run.RunID)
		require.Equal(t, "default-test-workflow-id", run.WorkflowID)
		if reads++; reads < 3 {
			return meeting.Ledger{}, errors.New("the engine is away")
		}
		return before, nil
	}, told{0, factRecorded})
	env.ExecuteWorkflow(meeting.Workflow, meeting.Start{Previous: "run-1"})
	require.NoError(t, env.GetWorkflowError())
	var got meeting.Ledger
	require.NoError(t, env.GetWorkflowResult(&got))
	require.Equal(t, ledgerOf(factStarted, factJoined, factEnded, factRecorded), got)
	require.Equal(t, 3, reads)
}

func TestACancelledMeetingKeepsItsLedger(t *testing.T) {
	env := meetingEnv(t, nil, told{0, factStarted}, told{time.Minute, factJoined})
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	env.ExecuteWorkflow(meeting.Workflow, meeting.Start{})
	require.NoError(t, env.GetWorkflowError())
	var got meeting.Ledger
	require.NoError(t, env.GetWorkflowResult(&got))
	require.Equal(t, ledgerOf(factStarted, factJoined), got)
}

func TestAMeetingWithALongHistoryContinuesAsNewWithAllItWasTold(t *testing.T) {
	env := meetingEnv(t, nil, told{0, factStarted}, told{time.Minute, factJoined})
	env.RegisterDelayedCallback(func() {
		env.SetContinueAsNewSuggested(true)
		env.SignalWorkflowSkippingWorkflowTask(meeting.Signal, factRecorded)
		env.SignalWorkflow(meeting.Signal, factEnded)
	}, time.Hour)
	start := meeting.Start{Previous: "", Settle: time.Second, Patience: 2 * time.Hour}
	env.ExecuteWorkflow(meeting.Workflow, start)
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &next)
	require.Equal(t, meeting.Workflow, next.WorkflowType.Name)
	var got meeting.Start
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &got))
	start.Ledger = ledgerOf(factStarted, factJoined, factRecorded, factEnded)
	require.Equal(t, start, got)

	env = meetingEnv(t, nil)
	env.ExecuteWorkflow(meeting.Workflow, got)
	require.NoError(t, env.GetWorkflowError())
	var ledger meeting.Ledger
	require.NoError(t, env.GetWorkflowResult(&ledger))
	require.Equal(t, start.Ledger, ledger)
}
