package workflows

import (
	"cmp"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/meeting"
)

// Meeting holds the ledger of one meeting. Handlers signal it with facts, and the first fact
// starts it. It ends when the meeting is over and no fact has come for a while; its result is the
// ledger. A fact that comes later, such as a recording hours after the end, starts another run,
// which continues that ledger.
func Meeting(ctx workflow.Context, start meeting.Start) (meeting.Ledger, error) {
	ledger := start.Ledger
	if err := workflow.SetQueryHandler(ctx, meeting.Query, func() (meeting.View, error) {
		return ledger.View(), nil
	}); err != nil {
		return ledger, err
	}
	if start.Previous != "" {
		var err error
		if ledger, err = lastLedger(ctx, start.Previous); err != nil {
			return ledger, err
		}
	}
	ledger.Abandoned = false
	facts := workflow.GetSignalChannel(ctx, meeting.Signal)
	for {
		// Every way out of this function passes this line, and nothing after it lets another
		// signal in, so no signal is lost. If a signal reaches Temporal at that moment, Temporal
		// refuses to close the run and hands the signal over first.
		drainFacts(ctx, facts, &ledger)
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return ledger, workflow.NewContinueAsNewError(ctx, meeting.Workflow, meeting.Start{
				Ledger: ledger, Settle: start.Settle, Patience: start.Patience,
			})
		}
		more, err := workflow.AwaitWithOptions(ctx, untilQuiet(&ledger, start), func() bool { return facts.Len() > 0 })
		if err != nil {
			// The run was cancelled. The ledger ends as it is, and the next fact starts a run
			// that continues it.
			drainFacts(ctx, facts, &ledger)
			return ledger, nil
		}
		if !more {
			ledger.Abandoned = !ledger.Over()
			return ledger, nil
		}
	}
}

// drainFacts applies the facts that have arrived, and shows the ledger in the Web UI.
func drainFacts(ctx workflow.Context, facts workflow.ReceiveChannel, ledger *meeting.Ledger) {
	var f meeting.Fact
	for facts.ReceiveAsync(&f) {
		ledger.Apply(f)
		f = meeting.Fact{}
	}
	workflow.SetCurrentDetails(ctx, ledger.View().Markdown())
}

// untilQuiet says how long to wait for another fact.
func untilQuiet(ledger *meeting.Ledger, start meeting.Start) workflow.AwaitOptions {
	if ledger.Over() {
		return workflow.AwaitOptions{
			Timeout:      cmp.Or(start.Settle, meeting.Settle),
			TimerOptions: workflow.TimerOptions{Summary: "over: ends unless another fact comes"},
		}
	}
	return workflow.AwaitOptions{
		Timeout:      cmp.Or(start.Patience, meeting.Patience),
		TimerOptions: workflow.TimerOptions{Summary: "waits for the end, or gives up"},
	}
}

// lastLedger reads the ledger with which an earlier run of this workflow ended. Without it this
// run would end with less than is known, so it is tried until it succeeds, even if the run is
// cancelled.
func lastLedger(ctx workflow.Context, runID string) (ledger meeting.Ledger, err error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: localTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute},
		Summary:             event.Clean("goes on from run "+runID, maxSummary),
	})
	run := meeting.Run{WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID, RunID: runID}
	err = workflow.ExecuteLocalActivity(ctx, meeting.ActivityLastLedger, run).Get(ctx, &ledger)
	return ledger, err
}
