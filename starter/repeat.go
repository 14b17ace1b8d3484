package starter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/event"
)

// judge says what a repeat of a known ID is.
func (s *engine) judge(ctx context.Context, id string, in Incoming) (Outcome, error) {
	d, err := s.temporal.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return "", fmt.Errorf("look up event %s: %w", id, err)
	}
	info := d.GetWorkflowExecutionInfo()
	if digest := memo[string](info.GetMemo(), event.MemoDigest); in.Digest != "" && digest != "" && digest != in.Digest {
		return "", errCollision
	}
	s.seen.add(id, in.Digest)
	switch info.GetStatus() {
	case enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
		enums.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return Abandoned, nil
	case enums.WORKFLOW_EXECUTION_STATUS_FAILED:
		if info.GetType().GetName() == event.DeadLetter && in.Live && s.mayRevive(id, info.GetMemo()) {
			return s.revive(ctx, id, info.GetExecution().GetRunId(), info.GetHistoryLength())
		}
	default:
	}
	return Duplicate, nil
}

// reviveEvery is how often at most a sender's repeats play a dead letter again.
const reviveEvery = 5 * time.Minute

func (s *engine) mayRevive(id string, m *common.Memo) bool {
	last := memo[time.Time](m, event.MemoReplayed)
	// A time to come was written by a clock that is set otherwise.
	return s.now().Sub(last).Abs() >= reviveEvery && s.seen.revive(id, reviveEvery)
}

// revive plays a dead letter again. A dead letter fails in its first task, so
// the last event but one is the end of that task, which is where a reset to the
// first workflow task goes.
func (s *engine) revive(ctx context.Context, id, run string, historyLength int64) (Outcome, error) {
	_, err := s.temporal.ResetWorkflowExecution(ctx, &workflowservice.ResetWorkflowExecutionRequest{
		Namespace:                 s.namespace,
		WorkflowExecution:         &common.WorkflowExecution{WorkflowId: id, RunId: run},
		Reason:                    "the sender sent the event again",
		WorkflowTaskFinishEventId: historyLength - 1,
		RequestId:                 "replay-" + run,
	})
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &notFound):
		return Duplicate, nil // somebody else has just played it again
	case err != nil:
		s.seen.unrevive(id)
		return "", fmt.Errorf("replay dead letter %s: %w", id, err)
	}
	return Replayed, nil
}

// memo reads a value of a memo; the zero value where it is not there.
func memo[T any](m *common.Memo, key string) (value T) {
	if p, ok := m.GetFields()[key]; ok {
		// A memo that does not decode was not written by us: as if absent.
		_ = converter.GetDefaultDataConverter().FromPayload(p, &value)
	}
	return value
}
