package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/payload"
)

// replayPriority is the Temporal priority of replayed events. It is below that of live events,
// which go first.
const replayPriority = 5

// successor is the run that takes the place of a dead letter.
type successor struct {
	kind string
	args []any
	memo map[string]any
	deed event.Deed
	// reuse says what state the event's latest run must have.
	reuse enumspb.WorkflowIdReusePolicy
	// of is the run that it replaces; nil for an import.
	of *workflowpb.WorkflowExecutionInfo
}

// start starts a successor and returns its run ID. The error wraps ErrTooLate if the event has a
// later run.
func (s *Store) start(ctx context.Context, e event.Event, next successor) (string, error) {
	o := client.StartWorkflowOptions{
		ID: e.ID, TaskQueue: s.taskQueue,
		WorkflowIDReusePolicy:                    next.reuse,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		EnableEagerStart:                         true,
		Memo:                                     next.memo,
		TypedSearchAttributes:                    successorAttributes(e, next.of),
		StaticSummary:                            event.Cut(e.Summary(), 390), // Temporal takes 400 bytes.
		Priority:                                 temporal.Priority{PriorityKey: replayPriority},
	}
	run, err := s.temporal.ExecuteWorkflow(ctx, o, next.kind, next.args...)
	if _, ok := errors.AsType[*serviceerror.InvalidArgument](err); ok { // Metadata must never cost an event.
		o.TypedSearchAttributes, o.StaticSummary = temporal.SearchAttributes{}, ""
		run, err = s.temporal.ExecuteWorkflow(ctx, o, next.kind, next.args...)
	}
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &already):
		return "", fmt.Errorf("%w: %s", ErrTooLate, e.ID)
	case err != nil:
		return "", fmt.Errorf("start %s of event %s: %w", next.kind, e.ID, err)
	}
	return run.GetRunID(), nil
}

// ErrTooLate says that an event has a later run: somebody else was faster.
var ErrTooLate = errors.New("the event is no longer a dead letter")

// successorAttributes are the successor's search attributes. Reason and route come from the run
// that it replaces, so the namespace has these attributes.
func successorAttributes(e event.Event, of *workflowpb.WorkflowExecutionInfo) temporal.SearchAttributes {
	var set []temporal.SearchAttributeUpdate
	keyword := func(name, value string) {
		if value != "" {
			set = append(set, temporal.NewSearchAttributeKeyKeyword(name).ValueSet(event.Attribute(value)))
		}
	}
	keyword(event.AttributeSource, e.Source)
	keyword(event.AttributeType, e.Type)
	keyword(event.AttributeSubject, e.Subject)
	keyword(event.AttributeReason, payload.Attribute[string](of.GetSearchAttributes(), event.AttributeReason))
	keyword(event.AttributeRoute, payload.Attribute[string](of.GetSearchAttributes(), event.AttributeRoute))
	if t := e.Time.UTC(); t.Year() >= 1 && t.Year() <= 9999 && !t.IsZero() {
		set = append(set, temporal.NewSearchAttributeKeyTime(event.AttributeTime).ValueSet(t))
	}
	return temporal.NewSearchAttributes(set...)
}

// succeed applies an operation to a dead letter and returns the ID of the run that takes its place.
// info is the letter's run, the latest of its event. The error wraps ErrTooLate if it no longer is.
func (s *Store) succeed(ctx context.Context, op event.Operation, info *workflowpb.WorkflowExecutionInfo) (string, error) {
	id, run := info.GetExecution().GetWorkflowId(), info.GetExecution().GetRunId()
	l, err := s.read(ctx, id, run)
	if err != nil {
		return "", err
	}
	deed, now := op.Deed, time.Now().UTC()
	deed.Operation = op.ID
	next := successor{of: info, deed: deed, reuse: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY}
	next.memo = map[string]any{event.MemoSummary: l.Event.Summary(), event.MemoDeed: deed}
	if digest := payload.Memo[string](info.GetMemo(), event.MemoDigest); digest != "" {
		next.memo[event.MemoDigest] = digest
	}
	if at := payload.Memo[time.Time](info.GetMemo(), event.MemoReplayed); !at.IsZero() {
		next.memo[event.MemoReplayed] = at
	}
	corrected := l.Corrected
	switch op.Action {
	case event.ActionDiscard:
		next.kind = event.Discarded
		next.args = []any{l.Event, payload.Body(l.Body), l.Letter, payload.Body(corrected), event.Discard{At: now, Deed: deed}}
	case event.ActionRenew:
		letter := l.Letter
		letter.Form = event.LetterForm
		letter.Instead = &event.Instead{Run: run, Why: "renewed before retention would have ended it"}
		next.kind, next.args = event.DeadLetter, successorArguments(l, letter, corrected)
	default:
		past := l.Letter.Past(event.Replay{At: now, Deed: deed})
		if op.Body != nil {
			past.Correction, corrected = &event.Correction{At: now, Deed: deed}, op.Body
		}
		next.memo[event.MemoReplayed] = now
		next.kind, next.args = event.ProcessEvent, successorArguments(l, past, corrected)
	}
	started, err := s.start(ctx, l.Event, next)
	if err != nil {
		return "", err
	}
	return started, s.DeleteRun(ctx, id, run)
}

// successorArguments are the arguments of ProcessEvent and DeadLetter. third is the Past or the
// Letter. The corrected body is left out if there is none.
func successorArguments(l Full, third any, corrected []byte) []any {
	args := []any{l.Event, payload.Body(l.Body), third}
	if corrected != nil {
		args = append(args, payload.Body(corrected))
	}
	return args
}
