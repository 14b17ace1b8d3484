package activities

import (
	"context"

	"go.temporal.io/sdk/activity"

	"github.com/grapnel/grapnel/internal/event"
)

// OperationFreeze stores the set of dead letters that an operation is for.
func (a *Activities) OperationFreeze(ctx context.Context, op event.Operation) (event.Progress, error) {
	op.ID = activity.GetInfo(ctx).WorkflowExecution.ID // An operation that a schedule starts has no ID in its input.
	if op.At.IsZero() {
		op.At = activity.GetInfo(ctx).ScheduledTime
	}
	pages, total, err := a.letters(activity.GetInfo(ctx).Namespace).Freeze(ctx, op, heartbeat(ctx))
	return event.Progress{Pages: pages, Total: total}, err
}

// OperationWork runs one batch of an operation.
func (a *Activities) OperationWork(ctx context.Context, w event.Work) (event.Done, error) {
	w.Operation.ID = activity.GetInfo(ctx).WorkflowExecution.ID
	return a.letters(activity.GetInfo(ctx).Namespace).Work(ctx, w, heartbeat(ctx))
}

// OperationSettle looks again at items that were still being handled.
func (a *Activities) OperationSettle(ctx context.Context, w event.Work) (map[event.Became]int, error) {
	info := activity.GetInfo(ctx)
	w.Operation.ID = info.WorkflowExecution.ID
	return a.letters(info.Namespace).Settle(ctx, w, info.WorkflowExecution.RunID+"/"+info.ActivityID, heartbeat(ctx))
}

// OperationCancel notes which items will not have their turn.
func (a *Activities) OperationCancel(ctx context.Context, w event.Work) (map[event.Became]int, error) {
	w.Operation.ID = activity.GetInfo(ctx).WorkflowExecution.ID
	return a.letters(activity.GetInfo(ctx).Namespace).CancelRest(ctx, w, heartbeat(ctx))
}

// heartbeat makes a function that sends a heartbeat.
func heartbeat(ctx context.Context) func() {
	return func() { activity.RecordHeartbeat(ctx) }
}
