package handlertest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/activities/handler"
)

// Temporal is a handler.Temporal that runs nothing and records the calls. Its zero value can be
// used.
type Temporal struct {
	mu      sync.Mutex
	calls   []Call
	err     error
	running map[string]bool
	results map[string]resultOfComplete
}

var _ handler.Temporal = (*Temporal)(nil)

// Call is one call that a handler made.
type Call struct {
	// Method is the name of the method, such as SignalWithStartWorkflow.
	Method string
	// WorkflowID is the ID of the workflow that the call is about.
	WorkflowID string
	// Workflow is the type of a workflow that is started.
	Workflow string
	// TaskQueue is the task queue of that workflow.
	TaskQueue string
	// Name is the name of the signal or the query.
	Name string
	// Args are the arguments of the workflow or of the query.
	Args []any
	// Signal is the argument of the signal.
	Signal any
}

// resultOfComplete is how a workflow ended, as Complete was told.
type resultOfComplete struct {
	result any
	err    error
}

// Calls lists the calls in order.
func (f *Temporal) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Fail makes every call from now on fail with err, as if Temporal were away; nil
// ends that.
func (f *Temporal) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// Complete ends a workflow: GetWorkflow then gives the result, or the error.
func (f *Temporal) Complete(workflowID string, result any, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.results == nil {
		f.results = map[string]resultOfComplete{}
	}
	f.results[workflowID] = resultOfComplete{result, err}
	delete(f.running, workflowID)
}

// call records a call, and starts its workflow if it names one. started is false if the workflow
// ran already.
func (f *Temporal) call(c Call) (started bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	if f.err != nil || c.Workflow == "" {
		return false, f.err
	}
	if f.running == nil {
		f.running = map[string]bool{}
	}
	started = !f.running[c.WorkflowID]
	f.running[c.WorkflowID] = true
	return started, nil
}

// ExecuteWorkflow implements handler.Temporal.
func (f *Temporal) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	started, err := f.call(Call{
		Method: "ExecuteWorkflow", WorkflowID: o.ID, Workflow: nameOf(workflow), TaskQueue: o.TaskQueue, Args: args,
	})
	switch {
	case err != nil:
		return nil, err
	case !started && o.WorkflowExecutionErrorWhenAlreadyStarted:
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("the workflow runs already", "", runID)
	}
	return &fakeRun{f, o.ID}, nil
}

// SignalWorkflow implements handler.Temporal.
func (f *Temporal) SignalWorkflow(_ context.Context, workflowID, _, signal string, arg any) error {
	_, err := f.call(Call{Method: "SignalWorkflow", WorkflowID: workflowID, Name: signal, Signal: arg})
	return err
}

// SignalWithStartWorkflow implements handler.Temporal.
//
//nolint:revive // argument-limit: the SDK's signature.
func (f *Temporal) SignalWithStartWorkflow(_ context.Context, workflowID, signal string, arg any,
	o client.StartWorkflowOptions, workflow any, args ...any,
) (client.WorkflowRun, error) {
	_, err := f.call(Call{
		Method: "SignalWithStartWorkflow", WorkflowID: workflowID, Workflow: nameOf(workflow), TaskQueue: o.TaskQueue,
		Name: signal, Signal: arg, Args: args,
	})
	if err != nil {
		return nil, err
	}
	return &fakeRun{f, workflowID}, nil
}

// CancelWorkflow implements handler.Temporal.
func (f *Temporal) CancelWorkflow(_ context.Context, workflowID, _ string) error {
	_, err := f.call(Call{Method: "CancelWorkflow", WorkflowID: workflowID})
	return err
}

// QueryWorkflow implements handler.Temporal. A fake runs no workflow, so it has no
// answer.
func (f *Temporal) QueryWorkflow(_ context.Context, workflowID, _, query string, args ...any) (converter.EncodedValue, error) {
	if _, err := f.call(Call{Method: "QueryWorkflow", WorkflowID: workflowID, Name: query, Args: args}); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("handlertest: the fake Temporal can't query workflow %s; test with OnServer", workflowID)
}

// GetWorkflow implements handler.Temporal.
func (f *Temporal) GetWorkflow(_ context.Context, workflowID, _ string) client.WorkflowRun {
	return &fakeRun{f, workflowID}
}

// DescribeWorkflowExecution implements handler.Temporal. It knows the workflows
// that were started, and those that Complete ended.
func (f *Temporal) DescribeWorkflowExecution(_ context.Context, workflowID, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if _, err := f.call(Call{Method: "DescribeWorkflowExecution", WorkflowID: workflowID}); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	end, over := f.results[workflowID]
	status := enums.WORKFLOW_EXECUTION_STATUS_RUNNING
	switch {
	case f.running[workflowID]:
	case !over:
		return nil, serviceerror.NewNotFound("no workflow " + workflowID)
	case end.err != nil:
		status = enums.WORKFLOW_EXECUTION_STATUS_FAILED
	default:
		status = enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Execution: &common.WorkflowExecution{WorkflowId: workflowID, RunId: runID}, Status: status,
	}}, nil
}

// runID is the run ID of every run of the fake.
const runID = "run"

// fakeRun is a run of the fake.
type fakeRun struct {
	f  *Temporal
	id string
}

func (r *fakeRun) GetID() string    { return r.id }
func (r *fakeRun) GetRunID() string { return runID }

// GetFirstExecutionRunID implements client.WorkflowRun.
func (r *fakeRun) GetFirstExecutionRunID() string { return runID }

func (r *fakeRun) Get(ctx context.Context, value any) error {
	return r.GetWithOptions(ctx, value, client.WorkflowRunGetOptions{})
}

func (r *fakeRun) GetWithOptions(_ context.Context, value any, _ client.WorkflowRunGetOptions) error {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	end, over := r.f.results[r.id]
	switch {
	case r.f.err != nil:
		return r.f.err
	case !over:
		return errors.New("handlertest: workflow " + r.id + " has not ended; the test ends it with Complete")
	case end.err != nil || value == nil:
		return end.err
	}
	dc := converter.GetDefaultDataConverter()
	p, err := dc.ToPayload(end.result)
	if err != nil {
		return fmt.Errorf("write the result of workflow %s: %w", r.id, err)
	}
	return dc.FromPayload(p, value) //nolint:wrapcheck // As the SDK gives it.
}

// nameOf gives the type of a workflow that is given by its name or its function.
func nameOf(workflow any) string {
	if name, ok := workflow.(string); ok {
		return name
	}
	v := reflect.ValueOf(workflow)
	if v.Kind() != reflect.Func {
		return fmt.Sprint(workflow)
	}
	name := strings.TrimSuffix(runtime.FuncForPC(v.Pointer()).Name(), "-fm")
	return name[strings.LastIndex(name, ".")+1:]
}
