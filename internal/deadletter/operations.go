package deadletter

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/payload"
)

// Status is an operation as operators see it.
type Status struct {
	ID      string       `json:"id"`
	Action  event.Action `json:"action"`
	Actor   string       `json:"actor,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Filter  event.Filter `json:"filter"`
	Rate    float64      `json:"rate"`
	Started time.Time    `json:"started"`
	Ended   time.Time    `json:"ended,omitzero"`
	// Phase is empty if no worker has answered.
	Phase  event.Phase          `json:"phase"`
	Total  int                  `json:"total"`
	Begun  int                  `json:"begun"`
	Counts map[event.Became]int `json:"counts" doc:"items by what became of them"`
	Note   string               `json:"note,omitempty"`
	Pages  int                  `json:"-"`
}

// Over tells whether the operation has ended.
func (s Status) Over() bool { return !s.Ended.IsZero() }

// Bounds of a request: of a corrected body in bytes, which travels in one message with the
// original, and of the IDs named in a filter, which travel in one message too.
const (
	MaxCorrected = 1 << 20
	MaxIDs       = 10_000
)

// ErrRequest says that an operation is invalid; the error's text says why.
var ErrRequest = errors.New("this can't be done")

// checkOperation refuses an invalid operation, in words for the operator. The error wraps
// ErrRequest.
func checkOperation(op event.Operation) error {
	switch f := op.Filter; {
	case op.Rate < 0 || math.IsNaN(op.Rate) || math.IsInf(op.Rate, 0):
		return fmt.Errorf("%w: the rate has to be more than 0", ErrRequest)
	case f.Limit < 0:
		return fmt.Errorf("%w: the limit is %d and can't be negative", ErrRequest, f.Limit)
	case len(f.IDs) > MaxIDs:
		return fmt.Errorf("%w: %d IDs are named, at most %d are allowed; use the other filters", ErrRequest, len(f.IDs), MaxIDs)
	case op.Body != nil && (op.Action != event.ActionReplay || len(f.IDs) != 1):
		return fmt.Errorf("%w: a corrected body is for the replay of one dead letter; name its ID", ErrRequest)
	case len(op.Body) > MaxCorrected:
		return fmt.Errorf("%w: the corrected body has %d bytes, at most %d are allowed", ErrRequest, len(op.Body), MaxCorrected)
	}
	return nil
}

// Begin starts an operation and returns its ID. key makes it idempotent: a second call with the
// same key and operation starts nothing, one with another operation gets ErrKeyUsed. With an empty
// key every call starts an operation. The error wraps ErrRequest if the operation is invalid.
func (s *Store) Begin(ctx context.Context, op event.Operation, key string) (string, error) {
	if err := checkOperation(op); err != nil {
		return "", err
	}
	op.At = time.Now().UTC()
	if op.Rate <= 0 {
		op.Rate = event.DefaultRate
	}
	op.ID = operationID(op.At, key)
	about := op
	about.Body, about.Filter.IDs = nil, firstOf(about.Filter.IDs, idsAtOnce/4)
	_, err := s.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: op.ID, TaskQueue: s.taskQueue,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		Memo:                                     map[string]any{event.MemoOperation: about},
		StaticSummary:                            event.Clean(fmt.Sprintf("%s by %s: %s", op.Action, op.Actor, op.Reason), maxWhy/2),
	}, event.WorkflowOperation, op)
	if isAlready(err) {
		return op.ID, s.sameAs(ctx, about)
	}
	if err != nil {
		return "", fmt.Errorf("begin the operation: %w", err)
	}
	return op.ID, nil
}

// ErrKeyUsed says that an idempotency key was used for another operation.
var ErrKeyUsed = errors.New("this idempotency key was used for another operation")

func (s *Store) sameAs(ctx context.Context, about event.Operation) error {
	info, err := s.describe(ctx, about.ID, "")
	if err != nil {
		return err
	}
	before := payload.Memo[event.Operation](info.GetMemo(), event.MemoOperation)
	about.At = before.At
	if !reflect.DeepEqual(before, about) {
		return ErrKeyUsed
	}
	return nil
}

func firstOf(ids []string, n int) []string { return ids[:min(n, len(ids))] }

func operationID(at time.Time, key string) string {
	if key != "" {
		sum := sha256.Sum256([]byte(key))
		return "operation-" + hex.EncodeToString(sum[:12])
	}
	return "operation-" + at.Format("20060102-150405-") + rand.Text()[:6]
}

// Operations lists up to most operations, the latest first, without renewals that found nothing to
// do.
func (s *Store) Operations(ctx context.Context, most int) ([]Status, error) {
	r, err := s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.namespace, PageSize: int32(min(max(most, 1), pageSize)),
		Query: `WorkflowType="` + event.WorkflowOperation + `" AND ExecutionStatus != "ContinuedAsNew"`,
	})
	if err != nil {
		return nil, fmt.Errorf("list the operations: %w", err)
	}
	all := make([]Status, 0, len(r.GetExecutions()))
	for _, info := range r.GetExecutions() {
		st := s.status(ctx, info)
		if st.Action == event.ActionRenew && st.Total == 0 && st.Over() {
			continue // The schedule starts many of these; they would hide the others.
		}
		all = append(all, st)
	}
	return all, nil
}

// Operation looks an operation up. The error wraps ErrGone if there is none of this ID.
func (s *Store) Operation(ctx context.Context, id string) (Status, error) {
	info, err := s.describe(ctx, id, "")
	if errors.Is(err, ErrGone) || err == nil && info.GetType().GetName() != event.WorkflowOperation {
		return Status{}, fmt.Errorf("%w: there is no operation %s", ErrGone, id)
	}
	if err != nil {
		return Status{}, err
	}
	return s.status(ctx, info), nil
}

// askTime is how long a worker may take to answer the query for an operation's progress.
const askTime = 5 * time.Second

func (s *Store) status(ctx context.Context, info *workflowpb.WorkflowExecutionInfo) Status {
	op := payload.Memo[event.Operation](info.GetMemo(), event.MemoOperation)
	id := info.GetExecution().GetWorkflowId()
	st := Status{
		ID: id, Action: op.Action, Actor: op.Actor, Reason: op.Reason, Filter: op.Filter, Rate: op.Rate, Started: op.At,
		Counts: map[event.Became]int{},
	}
	if st.Started.IsZero() { // The schedule has started it.
		st.Started, st.Action = info.GetStartTime().AsTime(), event.ActionRenew
	}
	var now event.Progress
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		answer, err := s.temporal.QueryWorkflow(ctx, id, "", event.QueryProgress)
		if err == nil {
			err = answer.Get(&now)
		}
		if err != nil {
			st.Note = "no worker answers how far it is: " + err.Error()
			return st
		}
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		st.Ended = info.GetCloseTime().AsTime()
		if err := s.temporal.GetWorkflow(ctx, id, info.GetExecution().GetRunId()).Get(ctx, &now); err != nil {
			st.Note = err.Error()
		}
	default:
		st.Ended, st.Note = info.GetCloseTime().AsTime(), "ended by hand"
		now.Phase = event.PhaseCancelled
	}
	st.Phase, st.Total, st.Begun, st.Pages = now.Phase, now.Total, now.Begun, now.Pages
	if now.Note != "" {
		st.Note = now.Note
	}
	for b, n := range now.Counts {
		if n > 0 {
			st.Counts[b] = n
		}
	}
	return st
}

// ItemStatus is what became of one letter of an operation.
type ItemStatus struct {
	ID     string       `json:"id"`
	Became event.Became `json:"became" doc:"empty where it has not had its turn"`
	Why    string       `json:"why,omitempty"`
	At     time.Time    `json:"at,omitzero"`
}

// Items returns up to most items of an operation, from number from on, in the order of their turns.
func (s *Store) Items(ctx context.Context, id string, from, most int) ([]ItemStatus, error) {
	items := []ItemStatus{}
	for n := from / itemsPerPage; len(items) < most; n++ {
		p, err := s.page(ctx, id, n)
		if errors.Is(err, ErrGone) {
			break
		}
		if err != nil {
			return nil, err
		}
		for i := max(from-n*itemsPerPage, 0); i < len(p.items) && len(items) < most; i++ {
			o := p.outcomes[i]
			items = append(items, ItemStatus{ID: p.items[i].ID, Became: o.Became, Why: o.Why, At: o.At})
		}
	}
	return items, nil
}

// Control pauses, resumes or cancels an operation. The error wraps ErrGone if there is none of this
// ID, and ErrTooLate if it is over.
func (s *Store) Control(ctx context.Context, id string, c event.Control) error {
	if _, err := s.Operation(ctx, id); err != nil {
		return err
	}
	err := s.temporal.SignalWorkflow(ctx, id, "", event.SignalControl, c)
	if isGone(err) {
		return fmt.Errorf("%w: operation %s is over", ErrTooLate, id)
	}
	if err != nil {
		return fmt.Errorf("%s operation %s: %w", c.Do, id, err)
	}
	return nil
}

// Plan is what an operation would do.
type Plan struct {
	Action event.Action `json:"action"`
	DryRun bool         `json:"dry_run"`
	Total  int          `json:"total" doc:"how many dead letters it means"`
	Groups []Group      `json:"groups" doc:"of them, by reason"`
	Routes []Group      `json:"routes" doc:"of them, by route still to do"`
	Cannot []ItemStatus `json:"cannot" doc:"what was named and can't be done, and why"`
	Cut    bool         `json:"cut,omitempty" doc:"whether there are more than could be looked at"`
}

// Plan tells what an operation would do, and changes nothing. The error wraps ErrRequest if the
// operation is invalid.
func (s *Store) Plan(ctx context.Context, op event.Operation) (Plan, error) {
	if err := checkOperation(op); err != nil {
		return Plan{}, err
	}
	listing, err := s.List(ctx, op.Filter)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{
		Action: op.Action, DryRun: true, Total: len(listing.Letters), Cut: listing.Cut && op.Filter.Limit == 0,
		Groups: GroupBy(listing.Letters, "reason"), Routes: GroupBy(listing.Letters, "route"), Cannot: []ItemStatus{},
	}
	found := map[string]bool{}
	for _, l := range listing.Letters {
		found[l.ID] = true
	}
	for _, id := range op.Filter.IDs {
		if found[id] {
			continue
		}
		why := "no event is known by this ID"
		info, err := s.describe(ctx, id, "")
		switch {
		case err == nil && isDead(info):
			why = "the filter leaves it out, or no list shows it yet"
		case err == nil:
			why = stateText(info)
		case !errors.Is(err, ErrGone):
			return Plan{}, err
		}
		p.Cannot = append(p.Cannot, ItemStatus{ID: id, Why: why})
	}
	return p, nil
}
