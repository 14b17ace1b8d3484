package workflows

import (
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// maxReplays is how many earlier replays a dead letter remembers.
const maxReplays = 20

// DeadLetter is an event that could not be handled. It fails in its first task,
// with what went wrong as its text, and so is found as a Failed workflow. A reset
// of it, by whatever tool, is a replay: the reset run removes the run it came
// from and continues as ProcessEvent with what is left to do.
func DeadLetter(ctx workflow.Context, e event.Event, body converter.RawValue, letter event.Letter) error {
	info := workflow.GetInfo(ctx)
	from := info.OriginalRunID
	if from == "" || from == info.WorkflowExecution.RunID {
		return temporal.NewApplicationErrorWithOptions(text(e, letter), event.DeadLetter,
			temporal.ApplicationErrorOptions{NonRetryable: true})
	}
	deleteRun(ctx, from)
	// Receivers read here when it was last played, so that a sender's repeats do
	// not play it again and again.
	if err := workflow.UpsertMemo(ctx, map[string]any{event.MemoReplayed: workflow.Now(ctx)}); err != nil {
		workflow.GetLogger(ctx).Warn("could not note the time of the replay", "error", err)
	}
	return workflow.NewContinueAsNewError(ctx, event.ProcessEvent, e, body, replayOf(ctx, letter))
}

// replayOf is what ProcessEvent needs to know of a dead letter.
func replayOf(ctx workflow.Context, letter event.Letter) event.Past {
	past := event.Past{Done: letter.Done, Replays: letter.Replays}
	var why string
	for _, f := range letter.Failures {
		if f.Route != "" {
			past.Left = append(past.Left, f.Route)
		}
		if why == "" {
			why = f.Message
		}
	}
	past.Replays = append(past.Replays, event.Replay{At: workflow.Now(ctx), Error: event.Cut(why, maxSummary)})
	if n := len(past.Replays); n > maxReplays {
		past.Replays = past.Replays[n-maxReplays:]
	}
	return past
}
