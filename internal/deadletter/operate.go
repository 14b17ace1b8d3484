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
	"github.com/grapnel/grapnel/internal/payload"
)

// itemsPerPage keeps a page of an operation's items under 100 KB, because it travels as a workflow
// argument.
const itemsPerPage = 500

// Freeze fixes which letters an operation acts on: it stores them as items in pages, and returns
// how many pages and items there are. If it runs again, after its worker was lost, the pages
// already written stay. alive is called now and then as a heartbeat.
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
	err = s.eachTarget(ctx, op, func(l Summary) error {
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

// eachTarget calls each with every letter that an operation acts on: of those that match its
// filter, the ones that were dead when it was requested.
func (s *Store) eachTarget(ctx context.Context, op event.Operation, each func(Summary) error) error {
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

// isExpiring tells whether a renewal is due for a letter. For other operations it is always true.
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

// setPage is a page of an operation's items, with what became of each.
type setPage struct {
	items    []event.Item
	outcomes []event.ItemOutcome
}

// page reads a page from its workflow's history, which needs no worker.
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
			p.outcomes = make([]event.ItemOutcome, len(p.items))
		}
		if a := e.GetWorkflowExecutionSignaledEventAttributes(); a.GetSignalName() == event.SignalOutcomes {
			var some []event.ItemOutcome
			if err := s.converter.FromPayloads(a.GetInput(), &some); err != nil {
				return p, fmt.Errorf("read page %d of operation %s: %w", n, op, err)
			}
			p.merge(some)
		}
	}
	return p, nil
}

func (p *setPage) merge(some []event.ItemOutcome) {
	for _, one := range some {
		if one.Index >= 0 && one.Index < len(p.outcomes) && !p.outcomes[one.Index].Became.Final() {
			p.outcomes[one.Index] = one
		}
	}
}

// noteOutcomes signals outcomes to the workflow that holds their page.
func (s *Store) noteOutcomes(ctx context.Context, op string, n int, outcomes []event.ItemOutcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	err := s.temporal.SignalWorkflow(ctx, pageID(op, n), "", event.SignalOutcomes, outcomes)
	if err == nil || isGone(err) { // A page's workflow ends when it has all outcomes.
		return nil
	}
	return fmt.Errorf("note what became of page %d of operation %s: %w", n, op, err)
}

const (
	waitForOutcome = 5 * time.Second // how long a batch waits for what becomes of an item
	itemsAtOnce    = 64              // how many items a batch waits for at once
)

// Work does a batch of an operation: it begins w.Rate items per second and waits up to 5 s for what
// becomes of each. It stops early if too many of the latest replays failed again. alive is called
// now and then as a heartbeat.
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
	slots := make(chan struct{}, itemsAtOnce)
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
			b.add(known) // An earlier try of this batch, whose worker was lost, has noted it.
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
	if err := s.noteOutcomes(ctx, w.Operation.ID, w.Page, b.outcomes); err != nil {
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

// batch collects the outcomes of a batch of items.
type batch struct {
	mu       sync.Mutex
	outcomes []event.ItemOutcome
	recent   string
	share    float64
	// fault is why the batch can't go on now; the caller tries it again.
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

func (b *batch) add(o event.ItemOutcome) {
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

// tooBad tells whether the share of failures among the last StopAfter results is above the limit.
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

// isAway tells an error that only means that Temporal does not answer now. A message that is too
// large is not one: it will be too large again.
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

// settle applies the operation to an item, unless an earlier try has, and waits up to within for
// what becomes of it. An error says that Temporal is away; the caller tries the item again later.
func (s *Store) settle(ctx context.Context, op event.Operation, item event.Item, within time.Duration) (event.ItemOutcome, error) {
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
		// An earlier try of this batch, or another operator, has begun it, and may have been lost
		// before it removed the old run, which Temporal would list until retention ends it. Should
		// this fail, there is one line too many in the list, so the error is dropped.
		_ = s.DeleteRun(ctx, item.ID, item.Run)
	}
	switch {
	case errors.Is(err, ErrGone):
		return event.ItemOutcome{Became: event.BecameGone, Why: "removed"}, nil
	case err != nil && isAway(err):
		return event.ItemOutcome{}, err
	case err != nil:
		return event.ItemOutcome{Became: event.BecameError, Why: event.Clean(err.Error(), maxWhy)}, nil
	}
	if o := outcomeOf(op, item, info); o.Became != event.BecameStarted {
		return o, nil
	}
	return s.awaitOutcome(ctx, op, item, info.GetExecution().GetRunId(), within), nil
}

// awaitOutcome waits up to within for the end of a run that the operation has begun, those that it
// continues as included, and tells what became of the item.
func (s *Store) awaitOutcome(ctx context.Context, op event.Operation, item event.Item, run string, within time.Duration) event.ItemOutcome {
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := s.temporal.GetWorkflow(wait, item.ID, run).Get(wait, nil)
	if err == nil && op.Action == event.ActionReplay {
		return event.ItemOutcome{Became: event.BecameHandled}
	}
	info, err := s.describe(ctx, item.ID, "")
	if err != nil {
		return event.ItemOutcome{Became: event.BecameStarted, Why: event.Clean(err.Error(), maxWhy)}
	}
	return outcomeOf(op, item, info)
}

// isStill tells whether a dead letter is the item, or the item renewed.
func (s *Store) isStill(ctx context.Context, item event.Item, info *workflowpb.WorkflowExecutionInfo) (bool, error) {
	run := info.GetExecution().GetRunId()
	if run == item.Run {
		return true, nil
	}
	l, err := s.read(ctx, item.ID, run)
	return err == nil && l.Letter.Instead != nil && l.Letter.Instead.Run == item.Run, err
}

// isOurs tells whether the operation started a run, or the run that it continues.
func isOurs(op event.Operation, info *workflowpb.WorkflowExecutionInfo) bool {
	return payload.Memo[event.Deed](info.GetMemo(), event.MemoDeed).Operation == op.ID
}

// maxWhy is the length, in characters, at which an outcome's Why is cut.
const maxWhy = 200

// outcomeOf tells what became of an item, by the latest run of its event.
func outcomeOf(op event.Operation, item event.Item, info *workflowpb.WorkflowExecutionInfo) event.ItemOutcome {
	ours := isOurs(op, info)
	status, kind := info.GetStatus(), info.GetType().GetName()
	switch {
	case !ours:
		return event.ItemOutcome{Became: event.BecameGone, Why: stateText(info)}
	case kind == event.Discarded:
		return event.ItemOutcome{Became: event.BecameDiscarded}
	case op.Action == event.ActionRenew && kind == event.DeadLetter:
		return event.ItemOutcome{Became: event.BecameRenewed}
	case isDead(info):
		l := summaryOf(info)
		if l.Reason == item.Reason {
			return event.ItemOutcome{Became: event.BecameSame, Why: event.Clean(l.Error, maxWhy)}
		}
		return event.ItemOutcome{Became: event.BecameOther, Why: event.Clean(l.Error, maxWhy)}
	case status == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return event.ItemOutcome{Became: event.BecameHandled}
	case status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, status == enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
		return event.ItemOutcome{Became: event.BecameStarted}
	default:
		return event.ItemOutcome{Became: event.BecameEnded, Why: strings.ToLower(status.String())}
	}
}

// Settle looks again at the items of a page that were still being handled, and counts what has
// become of them. by names this call, the same in each attempt: outcomes that an earlier attempt
// has noted are counted too, because its answer was lost. alive is called as a heartbeat.
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
		o := event.ItemOutcome{Became: event.BecameGone, Why: "removed"}
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
	return b.counts(), s.noteOutcomes(ctx, w.Operation.ID, w.Page, b.final())
}

func (b *batch) final() (final []event.ItemOutcome) {
	for _, o := range b.outcomes {
		if o.Became.Final() {
			final = append(final, o)
		}
	}
	return final
}

// CancelRest notes as cancelled all items from w.Page and w.From on, and returns their number by
// outcome. alive is called as a heartbeat.
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
		var outcomes []event.ItemOutcome
		for i := from; i < len(p.items); i++ {
			outcomes = append(outcomes, event.ItemOutcome{Index: i, Became: event.BecameCancelled, At: time.Now().UTC()})
		}
		if err := s.noteOutcomes(ctx, w.Operation.ID, n, outcomes); err != nil {
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
