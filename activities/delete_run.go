package activities

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
)

// DeleteRun removes the run that a replayed dead letter came from, so that the
// list of dead letters shows what is dead. A run that is gone already is fine.
// An empty run ID is refused: to the engine it means the current run.
func (a *Activities) DeleteRun(ctx context.Context, runID string) error {
	info := activity.GetInfo(ctx)
	if runID == "" || runID == info.WorkflowExecution.RunID {
		return fmt.Errorf("run %q of %s is not an earlier one", runID, info.WorkflowExecution.ID)
	}
	_, err := a.client.WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace:         info.Namespace,
		WorkflowExecution: &common.WorkflowExecution{WorkflowId: info.WorkflowExecution.ID, RunId: runID},
	})
	var notFound *serviceerror.NotFound
	if err == nil || errors.As(err, &notFound) {
		return nil
	}
	activity.GetMetricsHandler(ctx).Counter("grapnel_replay_leftovers").Inc(1)
	return fmt.Errorf("delete the run that the replay came from: %w", err)
}
