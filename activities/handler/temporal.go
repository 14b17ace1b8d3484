package handler

import (
	"context"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

// Temporal is what handlers may do with Temporal. Every client.Client of the SDK implements it,
// and so does a fake with these few methods, such as handlertest.Temporal.
type Temporal interface {
	// ExecuteWorkflow starts a workflow. A handler may run more than once for one
	// event, so it names the workflow's ID in the options.
	ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	// SignalWorkflow signals a workflow that runs.
	SignalWorkflow(ctx context.Context, workflowID, runID, signal string, arg any) error
	// SignalWithStartWorkflow signals a workflow, which it starts if it does not run.
	SignalWithStartWorkflow(ctx context.Context, workflowID, signal string, arg any,
		o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	// CancelWorkflow asks a workflow to end.
	CancelWorkflow(ctx context.Context, workflowID, runID string) error
	// QueryWorkflow queries a workflow; a worker has to answer.
	QueryWorkflow(ctx context.Context, workflowID, runID, query string, args ...any) (converter.EncodedValue, error)
	// GetWorkflow gives a handle by which the result of a run is read.
	GetWorkflow(ctx context.Context, workflowID, runID string) client.WorkflowRun
	// DescribeWorkflowExecution says how a run stands; an empty run ID is the latest.
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
}
