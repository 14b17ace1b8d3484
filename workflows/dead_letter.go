package workflows

import (
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/payload"
)

// DeadLetter is the workflow of an event that could not be handled. It fails in its first task,
// with the reason as the text of its failure, and so is found as a workflow in status Failed. A
// reset of it, by whatever tool, is a replay: the run that the reset makes removes the run it
// came from, and continues as ProcessEvent with what is left to do.
//
// Temporal's lists are some seconds behind, so the same dead letter may be reset twice. The run
// of the second reset finds that the letter was replayed since, repeats nothing, and ends in the
// same state as the event. corrected is a body with which an operator replaced the sender's;
// usually there is none.
func DeadLetter(ctx workflow.Context, e event.Event, body converter.RawValue, letter event.Letter, corrected converter.RawValue) error {
	info := workflow.GetInfo(ctx)
	from := info.OriginalRunID
	if from == "" || from == info.WorkflowExecution.RunID {
		upsertOutline(ctx, e, letter)
		return temporal.NewApplicationErrorWithOptions(letterText(e, letter), event.DeadLetter,
			temporal.ApplicationErrorOptions{NonRetryable: true})
	}
	since := deleteRun(ctx, from)
	past := replayOf(ctx, letter)
	switch since.State {
	case event.SinceSettled:
		return nil
	case event.SinceDead:
		return standIn(ctx, e, body, since)
	case event.SinceInterrupted:
		past = *since.Past
	}
	// Receivers read from the memo when the letter was last replayed, so that a sender's repeats
	// do not replay it too often.
	if err := workflow.UpsertMemo(ctx, map[string]any{event.MemoReplayed: workflow.Now(ctx)}); err != nil {
		workflow.GetLogger(ctx).Warn("could not note the time of the replay", "error", err)
	}
	return workflow.NewContinueAsNewError(ctx, event.ProcessEvent, inputOf(e, body, past, corrected)...)
}

// upsertOutline writes memo and search attributes by which the dead letter is found by its
// reason. A search attribute that the namespace lacks would keep the workflow task from ever
// completing, so the worker says first which ones there are.
func upsertOutline(ctx workflow.Context, e event.Event, letter event.Letter) {
	if letter.Form < event.LetterForm {
		return
	}
	var instead string
	if letter.Instead != nil {
		instead = letter.Instead.Run
	}
	outline := event.OutlineOf(e, letter)
	// The event that ends this workflow task is the next one of the history.
	outline.Task = int64(workflow.GetInfo(ctx).GetCurrentHistoryLength()) + 1
	if found := foundBy(ctx, instead); len(found) > 0 {
		if err := workflow.UpsertTypedSearchAttributes(ctx, outlineAttributes(outline, found)...); err != nil {
			workflow.GetLogger(ctx).Warn("the dead letter can't be found by its reason", "error", err)
		}
	}
	if err := workflow.UpsertMemo(ctx, map[string]any{event.MemoOutline: outline}); err != nil {
		workflow.GetLogger(ctx).Warn("the dead letter's outline is missing from lists", "error", err)
	}
	workflow.SetCurrentDetails(ctx, staticDetails(letter))
}

// outlineAttributes gives reason and first route as search attributes, as far as the namespace
// has them.
func outlineAttributes(o event.Outline, found []string) []temporal.SearchAttributeUpdate {
	var set []temporal.SearchAttributeUpdate
	for _, name := range found {
		value := o.Reason
		if name == event.AttributeRoute {
			value = ""
			if len(o.Routes) > 0 {
				value = o.Routes[0]
			}
		}
		if value != "" {
			set = append(set, temporal.NewSearchAttributeKeyKeyword(name).ValueSet(event.Attribute(value)))
		}
	}
	return set
}

// standIn continues this run as a copy of the newer dead letter that since tells of. The reset
// has made this run the event's latest, and lists show the latest run.
func standIn(ctx workflow.Context, e event.Event, body converter.RawValue, since event.Since) error {
	letter := *since.Letter
	letter.Form = event.LetterForm
	letter.Instead = &event.Instead{Run: since.Run, Why: "a dead letter that was replayed already was reset once more"}
	var corrected converter.RawValue
	if letter.Correction != nil {
		corrected = payload.Body(since.Corrected)
		// This task has already written the corrected body to history, as the result of an
		// activity. The input of the new run holds it again, so the next task has to write it.
		var b budget
		b.sent = len(since.Corrected)
		b.task = workflow.GetInfo(ctx).GetCurrentHistoryLength()
		b.take(ctx, len(body.Payload().GetData())+len(since.Corrected))
	}
	return workflow.NewContinueAsNewError(ctx, event.DeadLetter, inputOf(e, body, letter, corrected)...)
}

// inputOf gives the arguments of ProcessEvent or DeadLetter. The last one is left out if the body
// is the sender's.
func inputOf(e event.Event, body converter.RawValue, third any, corrected converter.RawValue) []any {
	args := []any{e, body, third}
	if corrected.Payload() != nil {
		args = append(args, corrected)
	}
	return args
}

// replayOf gives what ProcessEvent needs to know of a dead letter that is replayed.
func replayOf(ctx workflow.Context, letter event.Letter) event.Past {
	return letter.Past(event.Replay{At: workflow.Now(ctx)})
}

// Discarded is the workflow of an event that an operator gave up on. It completes at once. The
// event's ID stays taken, so that a sender's repeat is a duplicate, and no batch over dead
// letters finds it. Its input keeps the letter, and who discarded it and why.
func Discarded( //nolint:revive // argument-limit: they are those of a dead letter, and why.
	_ workflow.Context, _ event.Event, _ converter.RawValue, _ event.Letter, _ converter.RawValue, why event.Discard,
) (event.Discard, error) {
	return why, nil
}
