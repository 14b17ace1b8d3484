package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc/codes"

	"github.com/grapnel/grapnel/internal/event"
)

// itemsPerPage keeps a page of an operation's set, as an argument, under 100 KB.
const itemsPerPage = 500

// Freeze writes down the set of an operation, in pages, and gives their number
// and that of its items. When it is done again, after a worker was lost, what was
// written stays. alive is told now and then that it goes on.
func (s *Store) Freeze(ctx context.Context, op event.Operation, alive func()) (pages, total int, err error) {
	if op.Action == event.ActionRenew {
		if _, err := s.Tidy(ctx, alive); err != nil {
			return 0, 0, err
		}
	}
	frozen := map[string]bool{}
	for {
		p, err := s.page(ctx, op.ID, pages)
		if errors.Is(err, ErrGone) {
			break
		}
		if err != nil {
			return 0, 0, err
		}
		for _, item := range p.items {
			frozen[item.ID] = true
		}
		pages++
		alive()
	}
	var items []event.Item
	write := func(most int) error {
		for len(items) >= most && len(items) > 0 {
			n := min(itemsPerPage, len(items))
			if err := s.writePage(ctx, op, pages, items[:n]); err != nil {
				return err
			}
			items, pages = items[n:], pages+1
			alive()
		}
		return nil
	}
	err = s.meant(ctx, op, func(l Summary) error {
		if op.Filter.Limit > 0 && len(frozen) >= op.Filter.Limit {
			return errEnough
		}
		if frozen[l.ID] {
			return nil
		}
		frozen[l.ID] = true
		items = append(items, event.Item{ID: l.ID, Run: l.Run, Reason: l.Reason})
		return write(itemsPerPage)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return 0, 0, err
	}
	return pages, len(frozen), write(1)
}

var errEnough = errors.New("there are enough")

// meant gives each letter that an operation means: those that were dead when it was
// asked for.
func (s *Store) meant(ctx context.Context, op event.Operation, each func(Summary) error) error {
	var failed error
	now := time.Now()
	err := s.pages(ctx, op.Filter, func(page []Summary) bool {
		for _, l := range page {
			if !matchesFilter(op.Filter, l) || l.Died.After(op.At) || !isExpiring(op, l, now) {
				continue
			}
			if failed = each(l); failed != nil {
				return false
			}
		}
		return true
	})
	return errors.Join(failed, err)
}

// isExpiring tells whether an operation that renews means a letter.
func isExpiring(op event.Operation, l Summary, now time.Time) bool {
	if op.Action != event.ActionRenew {
		return true
	}
	since := l.First
	if since.IsZero() {
		since = l.Died
	}
	return now.Sub(l.Died) >= op.Within && (op.Keep == 0 || now.Sub(since) < op.Keep)
}

func pageID(op string, n int) string { return fmt.Sprintf("%s/%d", op, n) }

func (s *Store) writePage(ctx context.Context, op event.Operation, n int, items []event.Item) error {
	op.Body = nil
	_, err := s.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: pageID(op.ID, n), TaskQueue: s.taskQueue,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            fmt.Sprintf("page %d of %s, %d events", n+1, op.ID, len(items)),
	}, event.WorkflowPage, op, items)
	if err != nil {
		return fmt.Errorf("write page %d of operation %s: %w", n, op.ID, err)
	}
	return nil
}

// setPage is a page of an operation's set.
type setPage struct {
	items    []event.Item
	outcomes []event.Outcome
}

// page reads a page from its history, which needs no worker.
func (s *Store) page(ctx context.Context, op string, n int) (p setPage, err error) {
	events := s.temporal.GetWorkflowHistory(ctx, pageID(op, n), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if isGone(err) {
			return p, fmt.Errorf("%w: page %d of operation %s", ErrGone, n, op)
		}
		if err != nil {
			return p, fmt.Errorf("read page %d of operation %s: %w", n, op, err)
		}
		if a := e.GetWorkflowExecutionStartedEventAttributes(); a != nil {
			var ignored event.Operation
			if err := s.converter.FromPayloads(a.GetInput(), &ignored, &p.items); err != nil {
				return p, fmt.Errorf("read page %d of operation %s: %w", n, op, err)
			}
			p.outcomes = make([]event.Outcome, len(p.items))
		}
		if a := e.GetWorkflowExecutionSignaledEventAttributes(); a.GetSignalName() == event.SignalOutcomes {
			var some []event.Outcome
			if err := s.converter.FromPayloads(a.GetInput(), &some); err != nil {
				return p, fmt.Errorf("read page %d of operation %s: %w", n, op, err)
			}
			p.merge(some)
		}
	}
	return p, nil
}

func (p *setPage) merge(some []event.Outcome) {
	for _, one := range some {
		if one.Index >= 0 && one.Index < len(p.outcomes) && !p.outcomes[one.Index].Became.Final() {
			p.outcomes[one.Index] = one
		}
	}
}

// note writes outcomes into their page.
func (s *Store) note(ctx context.Context, op string, n int, outcomes []event.Outcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	err := s.temporal.SignalWorkflow(ctx, pageID(op, n), "", event.SignalOutcomes, outcomes)
	if err == nil || isGone(err) { // A page that is over knows all.
		return nil
	}
	return fmt.Errorf("note what became of page %d of operation %s: %w", n, op, err)
}

// How long a batch waits for what it has begun, and how much of it at once.
const (
	waitForOutcome = 5 * time.Second
	atOnce         = 64
)

// Work does a batch of an operation: each letter in its turn, at the rate, and then
// waits for some time for what becomes of them. It stops where too many of the
// latest failed again. alive is told now and then that it goes on.
func (s *Store) Work(ctx context.Context, w event.Work, alive func()) (event.Done, error) {
	p, err := s.page(ctx, w.Operation.ID, w.Page)
	if err != nil {
		return event.Done{}, err
	}
	b := &batch{recent: w.Recent, share: w.Operation.Share}
	if b.share == 0 {
		b.share = event.DefaultShare
	}
	turn := time.NewTicker(time.Duration(float64(time.Second) / w.Rate))
	defer turn.Stop()
	slots := make(chan struct{}, atOnce)
	var under sync.WaitGroup
	next := w.From
	for ; next < len(p.items) && next-w.From < w.Most; next++ {
		if next > w.From {
			awaitTurn(ctx, turn.C)
		}
		if ctx.Err() != nil || b.tooBad() || b.gaveUp() {
			break
		}
		slots <- struct{}{}
		index, item := next, p.items[next]
		if known := p.outcomes[index]; known.Became.Final() {
			b.add(known) // Noted by a batch whose worker was lost.
			<-slots
			continue
		}
		under.Go(func() {
			defer func() { <-slots }()
			o, err := s.settle(ctx, w.Operation, item, waitForOutcome)
			if err != nil {
				b.giveUp(err)
				return
			}
			o.Index, o.At = index, time.Now().UTC()
			b.add(o)
			alive()
		})
	}
	under.Wait()
	if ctx.Err() != nil {
		return event.Done{}, fmt.Errorf("operation %s: %w", w.Operation.ID, ctx.Err())
	}
	if b.fault != nil {
		return event.Done{}, fmt.Errorf("operation %s: %w", w.Operation.ID, b.fault)
	}
	if err := s.note(ctx, w.Operation.ID, w.Page, b.outcomes); err != nil {
		return event.Done{}, err
	}
	return event.Done{Next: next, Last: next >= len(p.items), Counts: b.counts(), Recent: b.recent, Stopped: b.tooBad()}, nil
}

// awaitTurn waits for the next turn, or for the end of ctx.
func awaitTurn(ctx context.Context, turn <-chan time.Time) {
	select {
	case <-ctx.Done():
	case <-turn:
	}
}

// batch collects outcomes.
type batch struct {
	mu       sync.Mutex
	outcomes []event.Outcome
	recent   string
	share    float64
	// fault is why the batch can't be finished now.
	fault error
}

func (b *batch) giveUp(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = err
}

func (b *batch) gaveUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fault != nil
}

func (b *batch) add(o event.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outcomes = append(b.outcomes, o)
	switch {
	case o.Became.Failed():
		b.recent += "f"
	case o.Became == event.BecameHandled:
		b.recent += "h"
	}
	if n := len(b.recent); n > event.StopAfter {
		b.recent = b.recent[n-event.StopAfter:]
	}
}

// tooBad tells whether more of the latest results failed than may.
func (b *batch) tooBad() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	failed := strings.Count(b.recent, "f")
	return len(b.recent) >= event.StopAfter && float64(failed) > b.share*event.StopAfter
}

func (b *batch) counts() map[event.Became]int {
	counts := map[event.Became]int{}
	for _, o := range b.outcomes {
		counts[o.Became]++
	}
	return counts
}

// isAway tells whether an error says nothing of the event but that Temporal does not
// answer now. A message that is too large will be so again.
func isAway(err error) bool {
	switch serviceerror.ToStatus(err).Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted:
		return true
	case codes.ResourceExhausted:
		return !strings.Contains(err.Error(), "larger than max")
	default:
		return false
	}
}

// settle does to an item what the operation says, unless that was done, and tells
// what became of it within the time given. An error says that Temporal is away: the
// item is then looked at again when it is back.
func (s *Store) settle(ctx context.Context, op event.Operation, item event.Item, within time.Duration) (event.Outcome, error) {
	info, err := s.describe(ctx, item.ID, "")
	still := false
	if err == nil && isDead(info) {
		still, err = s.isStill(ctx, item, info)
	}
	switch {
	case err != nil:
	case still:
		var run string
		if run, err = s.succeed(ctx, op, info); err == nil {
			return s.awaitOutcome(ctx, op, item, run, within), nil
		}
		if errors.Is(err, ErrTooLate) {
			info, err = s.describe(ctx, item.ID, "")
		}
	case info.GetExecution().GetRunId() != item.Run:
		// A batch whose worker was lost began it, or somebody else did, and may not have
		// come to this: without it Temporal's list shows the old run until retention.
		_ = s.DeleteRun(ctx, item.ID, item.Run) // A line too many blocks nothing.
	}
	switch {
	case errors.Is(err, ErrGone):
		return event.Outcome{Became: event.BecameGone, Why: "removed"}, nil
	case err != nil && isAway(err):
		return event.Outcome{}, err
	case err != nil:
		return event.Outcome{Became: event.BecameError, Why: event.Clean(err.Error(), maxWhy)}, nil
	}
	if o := outcomeOf(op, item, info); o.Became != event.BecameStarted {
		return o, nil
	}
	return s.awaitOutcome(ctx, op, item, info.GetExecution().GetRunId(), within), nil
}

// awaitOutcome waits for some time until a run that the operation has begun, and those that it
// continues as, are over, and tells what became of the item.
func (s *Store) awaitOutcome(ctx context.Context, op event.Operation, item event.Item, run string, within time.Duration) event.Outcome {
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := s.temporal.GetWorkflow(wait, item.ID, run).Get(wait, nil)
	if err == nil && op.Action == event.ActionReplay {
		return event.Outcome{Became: event.BecameHandled}
	}
	info, err := s.describe(ctx, item.ID, "")
	if err != nil {
		return event.Outcome{Became: event.BecameStarted, Why: event.Clean(err.Error(), maxWhy)}
	}
	return outcomeOf(op, item, info)
}

// isStill tells whether a dead letter is the item's, which may have been renewed.
func (s *Store) isStill(ctx context.Context, item event.Item, info *workflowpb.WorkflowExecutionInfo) (bool, error) {
	run := info.GetExecution().GetRunId()
	if run == item.Run {
		return true, nil
	}
	l, err := s.read(ctx, item.ID, run)
	return err == nil && l.Letter.Instead != nil && l.Letter.Instead.Run == item.Run, err
}

// isOurs tells whether an operation made a run, or one that it continues.
func isOurs(op event.Operation, info *workflowpb.WorkflowExecutionInfo) bool {
	return memoValue[event.Deed](info.GetMemo(), event.MemoDeed).Operation == op.ID
}

// maxWhy is the length in characters of what an outcome says more.
const maxWhy = 200

// outcomeOf tells what an item is by the latest run of its event.
func outcomeOf(op event.Operation, item event.Item, info *workflowpb.WorkflowExecutionInfo) event.Outcome {
	ours := isOurs(op, info)
	status, kind := info.GetStatus(), info.GetType().GetName()
	switch {
	case !ours:
		return event.Outcome{Became: event.BecameGone, Why: stateText(info)}
	case kind == event.Discarded:
		return event.Outcome{Became: event.BecameDiscarded}
	case op.Action == event.ActionRenew && kind == event.DeadLetter:
		return event.Outcome{Became: event.BecameRenewed}
	case isDead(info):
		l := summaryOf(info)
		if l.Reason == item.Reason {
			return event.Outcome{Became: event.BecameSame, Why: event.Clean(l.Error, maxWhy)}
		}
		return event.Outcome{Became: event.BecameOther, Why: event.Clean(l.Error, maxWhy)}
	case status == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return event.Outcome{Became: event.BecameHandled}
	case status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, status == enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
		return event.Outcome{Became: event.BecameStarted}
	default:
		return event.Outcome{Became: event.BecameEnded, Why: strings.ToLower(status.String())}
	}
}

// Settle looks again at the items of a page that were still being handled, and
// counts what became of them since. by names who does it, the same when it is tried again:
// what an earlier attempt has noted is counted too, since its answer was lost.
func (s *Store) Settle(ctx context.Context, w event.Work, by string, alive func()) (map[event.Became]int, error) {
	p, err := s.page(ctx, w.Operation.ID, w.Page)
	if err != nil {
		return nil, err
	}
	b := &batch{}
	for i, item := range p.items {
		noted := p.outcomes[i]
		if noted.Became.Final() && noted.By == by {
			b.outcomes = append(b.outcomes, noted)
		}
		if noted.Became != event.BecameStarted {
			continue
		}
		alive()
		info, err := s.describe(ctx, item.ID, "")
		o := event.Outcome{Became: event.BecameGone, Why: "removed"}
		switch {
		case errors.Is(err, ErrGone):
		case err != nil:
			return nil, err
		default:
			o = outcomeOf(w.Operation, item, info)
		}
		o.Index, o.At, o.By = i, time.Now().UTC(), by
		b.outcomes = append(b.outcomes, o)
	}
	return b.counts(), s.note(ctx, w.Operation.ID, w.Page, b.final())
}

func (b *batch) final() (final []event.Outcome) {
	for _, o := range b.outcomes {
		if o.Became.Final() {
			final = append(final, o)
		}
	}
	return final
}

// CancelRest notes of all items from one on that they will have no turn.
func (s *Store) CancelRest(ctx context.Context, w event.Work, alive func()) (map[event.Became]int, error) {
	counts := map[event.Became]int{}
	for n, from := w.Page, w.From; ; n, from = n+1, 0 {
		p, err := s.page(ctx, w.Operation.ID, n)
		if errors.Is(err, ErrGone) {
			return counts, nil
		}
		if err != nil {
			return nil, err
		}
		var outcomes []event.Outcome
		for i := from; i < len(p.items); i++ {
			outcomes = append(outcomes, event.Outcome{Index: i, Became: event.BecameCancelled, At: time.Now().UTC()})
		}
		if err := s.note(ctx, w.Operation.ID, n, outcomes); err != nil {
			return nil, err
		}
		counts[event.BecameCancelled] += len(outcomes)
		alive()
	}
}

// isAlready tells whether a workflow was started before.
func isAlready(err error) bool {
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	return errors.As(err, &already)
}
