package destination

import (
	"context"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc/codes"

	"github.com/grapnel/grapnel/internal/event"
)

// Deliver implements Kind. It calls Temporal's service directly: the SDK's client would make a
// new request ID for each call, while here the request ID is that of the delivery, so that an
// attempt whose answer was lost does nothing twice. The payloads are plain JSON, which workers in
// every language read.
func (f *workflowDestination) Deliver(ctx context.Context, d Delivery) error {
	if f.deps.Temporal == nil {
		return &Error{Destination: f.name, Doing: f.Target(), Permanent: true, Unsent: true, Err: errors.New("there is no Temporal to call")}
	}
	c, err := f.call(d)
	if err != nil {
		return &Error{Destination: f.name, URL: f.Target(), Permanent: true, Unsent: true, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, f.spec.Timeout)
	defer cancel()
	switch {
	case f.spec.alone():
		err = f.start(ctx, c)
	case f.spec.Update != "":
		err = f.update(ctx, c)
	case f.spec.Start:
		_, err = f.deps.Temporal.SignalWithStartWorkflowExecution(ctx, f.signalWithStart(c))
	default:
		_, err = f.deps.Temporal.SignalWorkflowExecution(ctx, &workflowservice.SignalWorkflowExecutionRequest{
			Namespace: f.deps.Namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: c.id},
			SignalName: c.verb, Input: c.input, Identity: identity, RequestId: c.request, Header: c.header(),
		})
	}
	return f.judge(ctx, c, err)
}

// identity is the name of the caller in the history of the other workflow.
const identity = "grapnel"

func (f *workflowDestination) startRequest(c *workflowCall) *workflowservice.StartWorkflowExecutionRequest {
	return &workflowservice.StartWorkflowExecutionRequest{
		Namespace: f.deps.Namespace, WorkflowId: c.id, WorkflowType: &commonpb.WorkflowType{Name: c.typ},
		TaskQueue: &taskqueuepb.TaskQueue{Name: f.spec.TaskQueue}, Input: c.input, Identity: identity,
		RequestId: c.request, Header: c.header(),
		// A workflow that has ended must not be started again by an attempt whose answer
		// was lost.
		WorkflowIdReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIdConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
	}
}

func (f *workflowDestination) start(ctx context.Context, c *workflowCall) error {
	_, err := f.deps.Temporal.StartWorkflowExecution(ctx, f.startRequest(c))
	return err //nolint:wrapcheck // It is judged by its type.
}

func (f *workflowDestination) signalWithStart(c *workflowCall) *workflowservice.SignalWithStartWorkflowExecutionRequest {
	return &workflowservice.SignalWithStartWorkflowExecutionRequest{
		Namespace: f.deps.Namespace, WorkflowId: c.id, WorkflowType: &commonpb.WorkflowType{Name: c.typ},
		TaskQueue: &taskqueuepb.TaskQueue{Name: f.spec.TaskQueue}, Input: c.startInput, Identity: identity,
		RequestId: c.request, Header: c.header(), SignalName: c.verb, SignalInput: c.input,
		WorkflowIdReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIdConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}
}

// update sends the update, whose ID is that of the delivery, and waits until it has ended.
func (f *workflowDestination) update(ctx context.Context, c *workflowCall) error {
	req := &workflowservice.UpdateWorkflowExecutionRequest{
		Namespace: f.deps.Namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: c.id},
		WaitPolicy: &updatepb.WaitPolicy{LifecycleStage: enumspb.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED},
		Request: &updatepb.Request{
			Meta:  &updatepb.Meta{UpdateId: c.request, Identity: identity},
			Input: &updatepb.Input{Header: c.header(), Name: c.verb, Args: c.input},
		},
	}
	send := f.deps.Temporal.UpdateWorkflowExecution
	for {
		var res *workflowservice.UpdateWorkflowExecutionResponse
		var err error
		if f.spec.Start {
			res, err = f.updateWithStart(ctx, c, req)
		} else {
			res, err = send(ctx, req)
		}
		if err != nil {
			return err //nolint:wrapcheck // It is judged by its type.
		}
		if failure := res.GetOutcome().GetFailure(); failure != nil {
			return &refusedUpdate{failure.GetMessage()}
		}
		if res.GetOutcome() != nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err //nolint:wrapcheck // As above.
		}
	}
}

// refusedUpdate is an update that the workflow refused, or that failed in it.
type refusedUpdate struct{ message string }

func (r *refusedUpdate) Error() string { return r.message }

func (f *workflowDestination) updateWithStart(ctx context.Context, c *workflowCall, update *workflowservice.UpdateWorkflowExecutionRequest) (
	*workflowservice.UpdateWorkflowExecutionResponse, error,
) {
	start := f.startRequest(c)
	start.Input, start.WorkflowIdConflictPolicy = c.startInput, enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
	type operation = workflowservice.ExecuteMultiOperationRequest_Operation
	res, err := f.deps.Temporal.ExecuteMultiOperation(ctx, &workflowservice.ExecuteMultiOperationRequest{
		Namespace: f.deps.Namespace,
		Operations: []*operation{
			{Operation: &workflowservice.ExecuteMultiOperationRequest_Operation_StartWorkflow{StartWorkflow: start}},
			{Operation: &workflowservice.ExecuteMultiOperationRequest_Operation_UpdateWorkflow{UpdateWorkflow: update}},
		},
	})
	if both, ok := errors.AsType[*serviceerror.MultiOperationExecution](err); ok {
		for _, one := range both.OperationErrors() {
			if _, aborted := errors.AsType[*serviceerror.MultiOperationAborted](one); one != nil && !aborted {
				return nil, one
			}
		}
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // It is judged by its type.
	}
	return res.GetResponses()[1].GetUpdateWorkflow(), nil
}

// judge says of a call's error whether another attempt can mend it.
func (f *workflowDestination) judge(ctx context.Context, c *workflowCall, err error) error {
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	var missing *serviceerror.NotFound
	var refused *refusedUpdate
	switch {
	case err == nil:
		return nil
	case errors.As(err, &started):
		if started.StartRequestId == c.request && f.spec.alone() {
			return nil
		}
		return f.closed(ctx, c)
	case errors.As(err, &missing):
		return f.closed(ctx, c)
	case errors.As(err, &refused):
		return f.refusal(c, true, "the workflow refuses the update", errors.New(event.Clean(refused.message, maxReason)))
	}
	e := &Error{Destination: f.name, URL: f.Target(), Doing: f.doing(c), Err: err}
	switch serviceerror.ToStatus(err).Code() { //nolint:exhaustive // Whatever else there is is tried again.
	case codes.InvalidArgument, codes.Unimplemented:
		e.Permanent = true
	case codes.DeadlineExceeded:
		e.Timeout = true
	case codes.Canceled:
		e.Canceled = errors.Is(ctx.Err(), context.Canceled)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Timeout = true
	case errors.Is(err, context.Canceled):
		e.Canceled = true
	}
	return e
}

// closed makes the Error of a call that no running workflow took. The workflow may have ended
// because of this very delivery, whose answer was lost; then there is no error.
func (f *workflowDestination) closed(ctx context.Context, c *workflowCall) error {
	info, err := f.deps.Temporal.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: f.deps.Namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: c.id},
	})
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return f.refusal(c, false, "there is no such workflow yet", errors.New("start: true would start it"))
	}
	if err != nil {
		return &Error{Destination: f.name, URL: f.Target(), Doing: f.doing(c), Err: err}
	}
	x := info.GetWorkflowExecutionInfo()
	took, err := f.hasTaken(ctx, c, x.GetExecution())
	switch {
	case err != nil:
		return &Error{Destination: f.name, URL: f.Target(), Doing: f.doing(c), Err: err}
	case took:
		return nil
	case x.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return f.refusal(c, true, "the workflow has ended", fmt.Errorf("its status is %s", x.GetStatus()))
	case f.spec.alone():
		return f.refusal(c, true, "the workflow is there already", errors.New("this event did not start it"))
	}
	return f.refusal(c, false, "the workflow did not take it", errors.New("it is there now"))
}

// refusal makes the Error of a delivery that fails because of the event, while Temporal is well.
func (f *workflowDestination) refusal(c *workflowCall, permanent bool, sort string, err error) error {
	return &Error{
		Destination: f.name, URL: f.Target(), Doing: f.doing(c), Permanent: permanent, Well: true, Sort: sort,
		Err: fmt.Errorf("%s: %w", sort, err),
	}
}

// maxPages is how many pages of a history are searched.
const maxPages = 50

// hasTaken tells whether a run of the workflow, or an earlier one that it continues, has taken the
// delivery.
func (f *workflowDestination) hasTaken(ctx context.Context, c *workflowCall, x *commonpb.WorkflowExecution) (bool, error) {
	var page []byte
	for range maxPages {
		res, err := f.deps.Temporal.GetWorkflowExecutionHistory(ctx, &workflowservice.GetWorkflowExecutionHistoryRequest{
			Namespace: f.deps.Namespace, Execution: x, NextPageToken: page,
		})
		if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look whether it was delivered before: %w", err)
		}
		before := ""
		for _, e := range res.GetHistory().GetEvents() {
			started, signaled := e.GetWorkflowExecutionStartedEventAttributes(), e.GetWorkflowExecutionSignaledEventAttributes()
			if signaled != nil && c.of(signaled.GetHeader()) || started != nil && f.spec.alone() && c.of(started.GetHeader()) {
				return true, nil
			}
			if run := started.GetContinuedExecutionRunId(); run != "" {
				before = run
			}
		}
		if before != "" {
			if took, err := f.hasTaken(ctx, c, &commonpb.WorkflowExecution{WorkflowId: c.id, RunId: before}); took || err != nil {
				return took, err
			}
		}
		if page = res.GetNextPageToken(); len(page) == 0 {
			return false, nil
		}
	}
	return false, nil
}

// doing says to people what an attempt does.
func (f *workflowDestination) doing(c *workflowCall) string {
	switch {
	case f.spec.alone():
		return "start of workflow " + c.id
	case f.spec.Update != "":
		return "update " + c.verb + " of workflow " + c.id
	}
	return "signal " + c.verb + " to workflow " + c.id
}

// preview implements previewer.
func (f *workflowDestination) preview(_ context.Context, d Delivery) (*Preview, error) {
	c, err := f.call(d)
	if err != nil {
		return nil, err
	}
	p := &Preview{Does: f.doing(c)}
	if f.spec.Start && !f.spec.alone() {
		p.Does += ", started as " + c.typ + " on " + f.spec.TaskQueue + " where it is not there"
	}
	for _, one := range c.input.GetPayloads() {
		p.Body = append(append(p.Body, one.GetData()...), '\n')
	}
	return p, nil
}
