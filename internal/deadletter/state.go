package deadletter

import (
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/grapnel/grapnel/internal/event"
)

// state is what an event is, by its latest run, in words.
func state(info *workflowpb.WorkflowExecutionInfo) string {
	kind, status := info.GetType().GetName(), info.GetStatus()
	switch {
	case isDead(info):
		return "a dead letter"
	case kind == event.Discarded:
		return "discarded"
	case status == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return "handled"
	case status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return "being handled"
	default:
		return "ended by hand"
	}
}
