package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/meeting"
)

// Register registers the workflows with a worker, each under the name by which runs under way
// refer to it.
func Register(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(ProcessEvent, workflow.RegisterOptions{Name: event.ProcessEvent})
	r.RegisterWorkflowWithOptions(DeadLetter, workflow.RegisterOptions{Name: event.DeadLetter})
	r.RegisterWorkflowWithOptions(Discarded, workflow.RegisterOptions{Name: event.Discarded})
	r.RegisterWorkflowWithOptions(Operation, workflow.RegisterOptions{Name: event.WorkflowOperation})
	r.RegisterWorkflowWithOptions(OperationPage, workflow.RegisterOptions{Name: event.WorkflowPage})
	r.RegisterWorkflowWithOptions(Sweep, workflow.RegisterOptions{Name: event.WorkflowSweep})
	r.RegisterWorkflowWithOptions(Pauses, workflow.RegisterOptions{Name: event.Pauses})
	r.RegisterWorkflowWithOptions(Meeting, workflow.RegisterOptions{Name: meeting.Workflow})
}
