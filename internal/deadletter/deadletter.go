// Package deadletter finds, reads, replays, discards and renews dead letters: failed runs of the
// workflow type DeadLetter. Temporal is the only store. Its lists are some seconds behind, so every
// change looks at the run itself first.
//
// Every change starts another workflow under the event's ID, which Temporal accepts only while the
// latest run of that ID has failed. So if two operators change the same letter at once, one of them
// gets ErrTooLate, whatever a list showed.
package deadletter

import (
	"context"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/event"
)

// Store gives access to the dead letters of a namespace. Make one with New.
type Store struct {
	temporal  client.Client
	namespace string
	taskQueue string
	converter converter.DataConverter
}

// New makes a store. Replayed events and operations run on the task queue.
func New(c client.Client, namespace, taskQueue string) *Store {
	return &Store{
		temporal: c, namespace: namespace, taskQueue: taskQueue,
		// Histories hold compressed payloads too.
		converter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), engine.NewCodec(0)),
	}
}

// Query is the list filter with which Temporal's tools find all dead letters.
const Query = `WorkflowType="` + event.DeadLetter + `" AND ExecutionStatus="Failed"`

// ErrGone says that the dead letter does not exist, or no longer.
var ErrGone = errors.New("no such dead letter")

// describe looks up a run of an event; an empty run means the latest.
func (s *Store) describe(ctx context.Context, id, run string) (*workflowpb.WorkflowExecutionInfo, error) {
	d, err := s.temporal.DescribeWorkflowExecution(ctx, id, run)
	if err != nil {
		if isGone(err) {
			return nil, fmt.Errorf("%w: %s", ErrGone, id)
		}
		return nil, fmt.Errorf("look up event %s: %w", id, err)
	}
	return d.GetWorkflowExecutionInfo(), nil
}

// isDead tells whether a run is a dead letter.
func isDead(info *workflowpb.WorkflowExecutionInfo) bool {
	return info.GetType().GetName() == event.DeadLetter && info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
}

// DeleteRun removes a run. It is no error if the run is gone already. An empty run ID is refused,
// because to Temporal it means the current run.
func (s *Store) DeleteRun(ctx context.Context, id, run string) error {
	if run == "" {
		return fmt.Errorf("delete a run of event %s: the run ID is empty", id)
	}
	_, err := s.temporal.WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace:         s.namespace,
		WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: run},
	})
	if err == nil || isGone(err) {
		return nil
	}
	return fmt.Errorf("delete run %s of event %s: %w", run, id, err)
}

func isGone(err error) bool {
	var notFound *serviceerror.NotFound
	return errors.As(err, &notFound)
}
