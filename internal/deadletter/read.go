package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/payload"
)

// Full is a dead letter with everything that is known of it.
type Full struct {
	Event event.Event `json:"event"`
	// Body is what the sender sent. Corrected is the body that an operator put in its place, or
	// nil.
	Body      []byte       `json:"body"`
	Corrected []byte       `json:"corrected,omitempty"`
	Letter    event.Letter `json:"letter"`
	// Discard is set if the letter was discarded.
	Discard *event.Discard `json:"discard,omitempty"`
	// Run is the run that is, or was, the dead letter.
	Run string `json:"run,omitempty"`
	// Died is when its run ended.
	Died time.Time `json:"died,omitzero"`
	// Digest and Replayed are kept in the memo of every run of the event.
	Digest   string    `json:"digest,omitempty"`
	Replayed time.Time `json:"replayed,omitzero"`
}

// Get reads the dead letter of an event, discarded ones included. The error wraps ErrGone if the
// event is no dead letter.
func (s *Store) Get(ctx context.Context, id string) (Full, error) {
	info, err := s.describe(ctx, id, "")
	if err != nil {
		return Full{}, err
	}
	if kind := info.GetType().GetName(); !isDead(info) && kind != event.Discarded {
		return Full{}, fmt.Errorf("%w: event %s is %s", ErrGone, id, stateText(info))
	}
	l, err := s.read(ctx, id, info.GetExecution().GetRunId())
	if err != nil {
		return Full{}, err
	}
	l.Died = info.GetCloseTime().AsTime()
	l.Digest = payload.Memo[string](info.GetMemo(), event.MemoDigest)
	l.Replayed = payload.Memo[time.Time](info.GetMemo(), event.MemoReplayed)
	return l, nil
}

// read reads the arguments that a dead letter's run was started with.
func (s *Store) read(ctx context.Context, id, run string) (Full, error) {
	first, err := s.firstEvent(ctx, id, run)
	if err != nil {
		return Full{}, err
	}
	started := first.GetWorkflowExecutionStartedEventAttributes()
	l := Full{Run: run}
	var body, corrected converter.RawValue
	args := []any{&l.Event, &body, &l.Letter, &corrected}
	if started.GetWorkflowType().GetName() == event.Discarded {
		args = append(args, &l.Discard)
	}
	if err := s.converter.FromPayloads(started.GetInput(), args...); err != nil {
		return Full{}, fmt.Errorf("read dead letter %s: %w", id, err)
	}
	l.Body, l.Corrected = body.Payload().GetData(), corrected.Payload().GetData()
	if l.Letter.Correction == nil {
		l.Corrected = nil
	}
	return l, nil
}

// firstEvent is the first event of a run's history.
func (s *Store) firstEvent(ctx context.Context, id, run string) (*historypb.HistoryEvent, error) {
	events := s.temporal.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	if !events.HasNext() {
		return nil, fmt.Errorf("run %s of event %s has no history", run, id)
	}
	e, err := events.Next()
	if isGone(err) {
		return nil, fmt.Errorf("%w: %s", ErrGone, id)
	}
	if err != nil {
		return nil, fmt.Errorf("read run %s of event %s: %w", run, id, err)
	}
	if e.GetWorkflowExecutionStartedEventAttributes() == nil {
		return nil, errors.New("the history of run " + run + " does not begin with its start")
	}
	return e, nil
}

// idLength is the length of an event ID; shortestPrefix is the length from which Resolve looks for
// the whole ID.
const (
	idLength       = 64
	shortestPrefix = 6
)

// Resolve returns the event ID that begins with id, because lists show IDs shortened. A whole ID,
// or a prefix under 6 characters, is returned as it is. It is an error if no dead letter, or
// several, begin with id; the first wraps ErrGone.
func (s *Store) Resolve(ctx context.Context, id string) (string, error) {
	if len(id) >= idLength || len(id) < shortestPrefix {
		return id, nil
	}
	r, err := s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.namespace, PageSize: 20,
		Query: `WorkflowId STARTS_WITH ` + event.QueryValue(id) + ` AND WorkflowType IN ("DeadLetter", "Discarded")`,
	})
	if err != nil {
		return "", fmt.Errorf("look up %s: %w", id, err)
	}
	found := map[string]bool{}
	for _, info := range r.GetExecutions() {
		found[info.GetExecution().GetWorkflowId()] = true
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w: none begins with %s", ErrGone, id)
	case 1:
		for whole := range found {
			id = whole
		}
		return id, nil
	default:
		return "", fmt.Errorf("several dead letters begin with %s; write more of the ID", id)
	}
}

// stateText says in words what state an event is in, by its latest run.
func stateText(info *workflowpb.WorkflowExecutionInfo) string {
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
