package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/grapnel/grapnel/internal/event"
)

const (
	listedWithin = 2 * time.Second       // how long runs waits until Temporal's list shows a run
	listInterval = 20 * time.Millisecond // how often it asks meanwhile
)

// Since tells what has happened to a dead letter since its run from failed, other than the run
// self, which a reset of from has made. Temporal does not tell which resets a run has had, but its
// list by workflow ID shows every run of the event. The list is late but in order: once it shows
// self, it shows all runs before it. The state of each run is then asked of Temporal itself.
func (s *Store) Since(ctx context.Context, id, self, from string) (event.Since, error) {
	began, err := s.began(ctx, id, self, from)
	if err != nil {
		return event.Since{}, err
	}
	runs, err := s.runs(ctx, id, self)
	if err != nil {
		return event.Since{}, err
	}
	slices.SortFunc(runs, func(a, b *workflowpb.WorkflowExecutionInfo) int {
		return b.GetStartTime().AsTime().Compare(a.GetStartTime().AsTime())
	})
	for _, r := range runs {
		run := r.GetExecution().GetRunId()
		if run == self || run == from || r.GetStartTime().AsTime().Before(began) {
			continue
		}
		since, err := s.judgeRun(ctx, id, run, []string{self, from})
		if err != nil || since.State != event.SinceNothing {
			return since, err
		}
	}
	return event.Since{}, nil
}

// began is when the dead letter's run from began. If that run is gone, the first event of self
// tells: a reset copies it from the run that it resets.
func (s *Store) began(ctx context.Context, id, self, from string) (time.Time, error) {
	info, err := s.describe(ctx, id, from)
	if err == nil {
		return info.GetStartTime().AsTime(), nil
	}
	if !errors.Is(err, ErrGone) {
		return time.Time{}, err
	}
	first, err := s.firstEvent(ctx, id, self)
	return first.GetEventTime().AsTime(), err
}

// runs lists every run of an event. It waits up to listedWithin until the list shows the run self.
func (s *Store) runs(ctx context.Context, id, self string) ([]*workflowpb.WorkflowExecutionInfo, error) {
	end := time.Now().Add(listedWithin)
	for {
		r, err := s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: s.namespace, Query: "WorkflowId = " + event.QueryValue(id), PageSize: 200,
		})
		if err != nil {
			return nil, fmt.Errorf("list the runs of event %s: %w", id, err)
		}
		shown := slices.ContainsFunc(r.GetExecutions(), func(x *workflowpb.WorkflowExecutionInfo) bool {
			return x.GetExecution().GetRunId() == self
		})
		if shown || self == "" || time.Now().After(end) {
			return r.GetExecutions(), nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the list of runs: %w", ctx.Err())
		case <-time.After(listInterval):
		}
	}
}

// judgeRun tells what a run, followed to the last one that it continued as, means for its event. If
// that chain leads to a run in not, it says nothing.
func (s *Store) judgeRun(ctx context.Context, id, run string, not []string) (event.Since, error) {
	info, err := s.describe(ctx, id, run)
	for err == nil && info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW {
		if run, err = s.continuation(ctx, id, run); err != nil || slices.Contains(not, run) {
			break
		}
		info, err = s.describe(ctx, id, run)
	}
	if errors.Is(err, ErrGone) {
		return event.Since{}, nil // A replay removes the dead letter's run.
	}
	if err != nil || slices.Contains(not, run) {
		return event.Since{}, err
	}
	since, status := event.Since{Run: run}, info.GetStatus()
	switch kind := info.GetType().GetName(); {
	case kind == event.DeadLetter && status == enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:
		l, err := s.read(ctx, id, run)
		if err != nil {
			return event.Since{}, err
		}
		since.State, since.Letter, since.Corrected = event.SinceDead, &l.Letter, l.Corrected
	case kind == event.DeadLetter:
		return event.Since{}, nil // A reset that came too late, or that a later one has ended.
	case status == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		since.State = event.SinceSettled
	default:
		past, err := s.askPast(ctx, id, run)
		if err != nil {
			return event.Since{}, err
		}
		since.State, since.Past = event.SinceInterrupted, &past
	}
	return since, nil
}

// continuation is the run that a run continued as.
func (s *Store) continuation(ctx context.Context, id, run string) (string, error) {
	events := s.temporal.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
	if !events.HasNext() {
		return "", fmt.Errorf("run %s of event %s has no end", run, id)
	}
	e, err := events.Next()
	if err != nil {
		return "", fmt.Errorf("read the end of run %s of event %s: %w", run, id, err)
	}
	return e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId(), nil
}

// askPast asks a run that was ended half-way what it had done until then.
func (s *Store) askPast(ctx context.Context, id, run string) (past event.Past, err error) {
	answer, err := s.temporal.QueryWorkflow(ctx, id, run, event.QueryPast)
	if err == nil {
		err = answer.Get(&past)
	}
	if err != nil {
		return past, fmt.Errorf("ask run %s of event %s what it had done: %w", run, id, err)
	}
	return past, nil
}
