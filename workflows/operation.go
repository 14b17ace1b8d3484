package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// Operation does one thing to many dead letters. First it freezes the set, in pages that are
// workflows of their own. Then it works through the pages in batches, at a rate that grows up to
// the one asked for. At last it waits for events that are still being handled. As a workflow it
// outlives workers and the operator's laptop. Its history stays short, because the pages keep
// what became of each item. from is zero, except in a run that continues another.
func Operation(ctx workflow.Context, op event.Operation, from event.Progress) (event.Progress, error) {
	o := &operation{op: op, now: from}
	if o.now.Counts == nil {
		o.now.Counts = map[event.Became]int{}
	}
	if err := workflow.SetQueryHandler(ctx, event.QueryProgress, func() (event.Progress, error) { return o.now, nil }); err != nil {
		return o.now, err
	}
	workflow.Go(ctx, o.listen)
	if o.now.Phase == "" {
		o.now.Phase = event.PhaseFreezing
		frozen, err := freeze(ctx, op)
		if err != nil {
			return o.now, err
		}
		o.now.Pages, o.now.Total, o.now.Phase = frozen.Pages, frozen.Total, event.PhaseRunning
	}
	for o.now.Page < o.now.Pages && !o.cancelled {
		if err := workflow.Await(ctx, func() bool { return o.cancelled || o.now.Phase == event.PhaseRunning }); err != nil {
			return o.now, err
		}
		if o.cancelled {
			break
		}
		if err := o.batch(ctx); err != nil {
			return o.now, err
		}
		if o.mayContinue(ctx) {
			return o.now, o.continued(ctx)
		}
	}
	return o.finish(ctx)
}

// operation is one run of Operation.
type operation struct {
	op        event.Operation
	now       event.Progress
	cancelled bool
}

// listen receives the operators' signals while the operation is under way.
func (o *operation) listen(ctx workflow.Context) {
	said := workflow.GetSignalChannel(ctx, event.SignalControl)
	for {
		var c event.Control
		if !said.Receive(ctx, &c) || ctx.Err() != nil {
			return
		}
		o.control(c)
	}
}

func (o *operation) control(c event.Control) {
	by := c.Actor
	if c.Reason != "" {
		by += " (" + c.Reason + ")"
	}
	switch {
	case c.Do == "pause" && o.now.Phase == event.PhaseRunning:
		o.now.Phase, o.now.Note = event.PhasePaused, "paused by "+by
	case c.Do == "resume" && (o.now.Phase == event.PhasePaused || o.now.Phase == event.PhaseStopped):
		o.now.Phase, o.now.Note, o.now.Recent = event.PhaseRunning, "resumed by "+by, ""
	case c.Do == "cancel" && !o.now.Phase.Over():
		o.cancelled, o.now.Note = true, "cancelled by "+by
	}
}

// batch runs the next items and counts what became of them.
func (o *operation) batch(ctx workflow.Context) error {
	rate := o.rate()
	done, err := workBatch(ctx, event.Work{
		Operation: o.op, Page: o.now.Page, From: o.now.From, Most: batchSize(rate), Rate: rate, Recent: o.now.Recent,
	})
	if err != nil {
		return err
	}
	o.now.Begun += done.Next - o.now.From
	o.now.From, o.now.Recent = done.Next, done.Recent
	o.count(done.Counts)
	if done.Counts[event.BecameStarted] > 0 && !slices.Contains(o.now.Open, o.now.Page) {
		o.now.Open = append(o.now.Open, o.now.Page)
	}
	if done.Last {
		o.now.Page, o.now.From = o.now.Page+1, 0
	}
	if done.Stopped && o.now.Phase == event.PhaseRunning {
		o.now.Phase = event.PhaseStopped
		o.now.Note = fmt.Sprintf("stopped by itself: of the last %d events too many failed again", event.StopAfter)
	}
	return nil
}

func (o *operation) count(counts map[event.Became]int) {
	for _, b := range workflow.DeterministicKeys(counts) {
		o.now.Counts[b] += counts[b]
	}
}

// rate gives the rate of the next batch: 1, 2, 5, 10 and so on, up to that of the operation.
func (o *operation) rate() float64 {
	top := o.op.Rate
	if top <= 0 {
		top = event.DefaultRate
	}
	o.now.Step = min(nextStep(o.now.Step), top)
	return o.now.Step
}

func nextStep(step float64) float64 {
	for next := 1.0; ; next *= 10 {
		for _, factor := range []float64{1, 2, 5} {
			if next*factor > step {
				return next * factor
			}
		}
	}
}

// batchSize gives the number of items in a batch: as many as take about two seconds. Between
// batches an operator's signals are heeded.
func batchSize(rate float64) int { return max(1, int(2*rate)) }

// finish notes the items that will not have their turn, and waits for those that are being
// handled.
func (o *operation) finish(ctx workflow.Context) (event.Progress, error) {
	if o.cancelled && o.now.Page < o.now.Pages {
		counts, err := cancelRest(ctx, event.Work{Operation: o.op, Page: o.now.Page, From: o.now.From})
		if err != nil {
			return o.now, err
		}
		o.count(counts)
		o.now.Page = o.now.Pages
	}
	o.now.Phase = event.PhaseSettling
	for pause := time.Second; len(o.now.Open) > 0; pause = min(2*pause, time.Minute) {
		if err := o.settle(ctx); err != nil {
			return o.now, err
		}
		if len(o.now.Open) == 0 {
			break
		}
		if o.mayContinue(ctx) {
			return o.now, o.continued(ctx)
		}
		if err := workflow.Sleep(ctx, pause); err != nil {
			return o.now, err
		}
	}
	o.now.Phase = event.PhaseDone
	if o.now.Counts[event.BecameCancelled] > 0 {
		o.now.Phase = event.PhaseCancelled
	}
	return o.now, nil
}

// settle looks again at the items that were still being handled.
func (o *operation) settle(ctx workflow.Context) error {
	var open []int
	for _, page := range o.now.Open {
		counts, err := settlePage(ctx, event.Work{Operation: o.op, Page: page})
		if err != nil {
			return err
		}
		left := counts[event.BecameStarted]
		for _, b := range workflow.DeterministicKeys(counts) {
			if b.Final() {
				o.now.Counts[b] += counts[b]
				o.now.Counts[event.BecameStarted] -= counts[b]
			}
		}
		if left > 0 {
			open = append(open, page)
		}
	}
	o.now.Open = open
	return nil
}

// mayContinue tells whether history is so long that the operation should continue as new.
func (o *operation) mayContinue(ctx workflow.Context) bool {
	return workflow.GetInfo(ctx).GetContinueAsNewSuggested() && !o.cancelled
}

func (o *operation) continued(ctx workflow.Context) error {
	// A signal that is not read yet would be lost with this run.
	said := workflow.GetSignalChannel(ctx, event.SignalControl)
	for {
		var c event.Control
		if !said.ReceiveAsync(&c) {
			break
		}
		o.control(c)
	}
	return workflow.NewContinueAsNewError(ctx, event.WorkflowOperation, o.op, o.now)
}

// OperationPage keeps some items of an operation's frozen set. It ends, with what became of each,
// when that is known of all.
func OperationPage(ctx workflow.Context, _ event.Operation, items []event.Item) ([]event.ItemOutcome, error) {
	outcomes := make([]event.ItemOutcome, len(items))
	heard := workflow.GetSignalChannel(ctx, event.SignalOutcomes)
	for settled := 0; settled < len(items); {
		var some []event.ItemOutcome
		if heard.Receive(ctx, &some); ctx.Err() != nil {
			return outcomes, ctx.Err()
		}
		for _, one := range some {
			if one.Index < 0 || one.Index >= len(outcomes) || outcomes[one.Index].Became.Final() {
				continue
			}
			outcomes[one.Index] = one
			if one.Became.Final() {
				settled++
			}
		}
	}
	return outcomes, nil
}

// Sweep asks a sender again for events that it could not deliver. A schedule starts it.
func Sweep(ctx workflow.Context, s event.Sweep) (event.Swept, error) {
	return sweep(ctx, s)
}
