// Package deadletter finds, reads and settles dead letters: failed runs of the
// workflow type DeadLetter. Temporal is the only store. What it lists is some
// seconds behind the truth; what is changed here is judged by the truth.
//
// Every change is a start of another workflow under the event's ID, which
// Temporal takes only while the latest run of that ID has failed. So of two who
// change the same letter at once one is told that it is too late, whatever a list
// said.
package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// Store is the dead letters of a namespace. Make one with New.
type Store struct {
	temporal  client.Client
	namespace string
	taskQueue string
	converter converter.DataConverter
}

// New makes a store. What is replayed runs on the task queue.
func New(c client.Client, namespace, taskQueue string) *Store {
	return &Store{
		temporal: c, namespace: namespace, taskQueue: taskQueue,
		// Histories hold compressed payloads too.
		converter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), engine.NewCodec(0)),
	}
}

// Query is the dead-letter store as Temporal's tools query it.
const Query = `WorkflowType="` + event.DeadLetter + `" AND ExecutionStatus="Failed"`

// ErrGone says that there is no such dead letter, or none any more.
var ErrGone = errors.New("no such dead letter")

// describe describes a run, an empty one being the latest.
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

// DeleteRun removes a run. One that is gone already is fine. An empty run ID is
// refused: to Temporal it means the current run.
func (s *Store) DeleteRun(ctx context.Context, id, run string) error {
	if run == "" {
		return fmt.Errorf("no run of %s is named", id)
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

// memoValue reads a value of a memo; the zero value where it is not there.
func memoValue[T any](m *commonpb.Memo, key string) (value T) {
	if p, ok := m.GetFields()[key]; ok {
		// A memo that does not decode was not written by us: as if absent.
		_ = converter.GetDefaultDataConverter().FromPayload(p, &value)
	}
	return value
}

// attributeValue reads a search attribute; empty where it is not there.
func attributeValue(a *commonpb.SearchAttributes, key string) (value string) {
	if p, ok := a.GetIndexedFields()[key]; ok {
		_ = converter.GetDefaultDataConverter().FromPayload(p, &value) // As with memos.
	}
	return value
}

func timeAttribute(a *commonpb.SearchAttributes, key string) (value time.Time) {
	if p, ok := a.GetIndexedFields()[key]; ok {
		_ = converter.GetDefaultDataConverter().FromPayload(p, &value) // As with memos.
	}
	return value
}
