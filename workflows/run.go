package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// localTimeout is the longest time-out of a route that may make its first
// attempt within the workflow task. The engine gives a task ten seconds; an
// attempt that outlived it would run twice at once.
const localTimeout = 5 * time.Second

// untouched is the length of history up to which the first workflow task is in
// its first try: started, scheduled, started.
const untouched = 3

// run is one run of ProcessEvent.
type run struct {
	// event and body are what the routes get.
	event event.Event
	body  converter.RawValue
	// sent and original are what the sender sent; they differ where the body was
	// corrected.
	sent                event.Event
	original, corrected converter.RawValue
	// plan are the routes once they are known, succeeded those that are done.
	plan      []event.Route
	succeeded []string
	// local tells whether this is the first try of the first workflow task. In
	// any later one a worker may have died of a handler, so no attempt is made
	// within the task again.
	local bool
	// lost is the number of attempts that may have been made in a task that was
	// lost with its worker.
	lost   int
	budget budget
}

func newRun(ctx workflow.Context, e event.Event, body converter.RawValue) *run {
	info := workflow.GetInfo(ctx)
	r := &run{event: e, body: body, sent: e, original: body, local: info.GetCurrentHistoryLength() <= untouched}
	if !r.local && info.OriginalRunID == info.WorkflowExecution.RunID {
		r.lost = 1
	}
	return r
}

// correct puts a corrected body in the place of the sender's for the routes, and
// marks the event.
func (r *run) correct(past event.Past, corrected converter.RawValue) {
	if past.Correction != nil && corrected.Payload() != nil {
		r.body, r.corrected = corrected, corrected
		r.event.Corrected = past.Correction.At
	}
}

// answerPast answers the query for what a replay of this run would have to know.
func (r *run) answerPast(ctx workflow.Context, past event.Past) error {
	return workflow.SetQueryHandler(ctx, event.QueryPast, func() (event.Past, error) {
		now := past
		now.Done = append(slices.Clone(past.Done), r.succeeded...)
		if r.plan != nil {
			now.Left = nil
		}
		for _, rt := range r.plan {
			if !slices.Contains(r.succeeded, rt.Name) {
				now.Left = append(now.Left, rt.Name)
			}
		}
		return now, nil
	})
}

// all runs the routes at once and gives the failures, in the order of the plan.
func (r *run) all(ctx workflow.Context, routes []event.Route) []event.Failure {
	r.plan = routes
	settled := make([]*event.Failure, len(routes))
	wg := workflow.NewWaitGroup(ctx)
	for i, rt := range routes {
		wg.Add(1)
		workflow.GoNamed(ctx, rt.Name, func(ctx workflow.Context) {
			defer wg.Done()
			if settled[i] = r.one(ctx, rt); settled[i] == nil && ctx.Err() == nil {
				r.succeeded = append(r.succeeded, rt.Name)
			}
		})
	}
	wg.Wait(ctx)
	var failures []event.Failure
	for _, f := range settled {
		if f != nil {
			failures = append(failures, *f)
		}
	}
	return failures
}

// one runs a route until it is done or has failed for good: the first attempt
// within the workflow task, which costs the engine nothing, the others as a
// regular activity, which people can watch.
func (r *run) one(ctx workflow.Context, rt event.Route) *event.Failure {
	first := workflow.Now(ctx)
	t := event.Task{Event: r.event, Route: rt}
	if mayTryLocally(rt) {
		// An attempt that was lost with its worker is counted, or a handler that
		// kills its process would do so once more than it has attempts.
		t.Before = min(r.lost, rt.Retry.Attempts-1)
		if r.local {
			err := try(ctx, t, r.body)
			if err == nil {
				return nil
			}
			t.Before = 1
			if permanent(err) || rt.Retry.Attempts <= t.Before {
				return r.failed(ctx, rt, first, err)
			}
			rest(ctx, rt, err)
		}
	}
	r.budget.take(ctx, len(r.body.Payload().GetData()))
	if err := attempt(ctx, t, r.body); err != nil {
		return r.failed(ctx, rt, first, err)
	}
	return nil
}

func (r *run) failed(ctx workflow.Context, rt event.Route, first time.Time, err error) *event.Failure {
	f := r.failure(ctx, rt, rt.Retry.Attempts, err)
	f.First = first
	return &f
}

func mayTryLocally(rt event.Route) bool {
	return rt.Timeout <= localTimeout && rt.TaskQueue == ""
}

// rest waits for the backoff after the first attempt. Its summary is what the
// Web UI shows of it.
func rest(ctx workflow.Context, rt event.Route, err error) {
	d := nextRetry(err, rt)
	until := workflow.Now(ctx).Add(d).UTC().Format(time.DateTime)
	summary := event.Clean(rt.Name+" goes on at "+until+", attempt 1 failed: "+message(err), maxSummary)
	// A timer fails only when its context is cancelled, which then also ends
	// the activity that follows.
	_ = workflow.NewTimerWithOptions(ctx, d, workflow.TimerOptions{Summary: summary}).Get(ctx, nil)
}

// maxSummary is the length in characters of what people read in one line; the
// engine takes at most 400 bytes.
const maxSummary = 200

// budget keeps what one workflow task sends under the engine's limit of 4 MiB a
// message: a task over it fails for ever, unseen.
type budget struct {
	task int // length of history when the present task began
	sent int // bytes of bodies in the present task
}

const maxTaskBytes = 3 << 20

// take waits until a body of n bytes may be sent.
func (b *budget) take(ctx workflow.Context, n int) {
	const overhead = 16 << 10 // what a task carries besides the body
	for {
		if now := workflow.GetInfo(ctx).GetCurrentHistoryLength(); now != b.task {
			b.task, b.sent = now, 0
		}
		if b.sent == 0 || b.sent+n+overhead <= maxTaskBytes {
			b.sent += n + overhead
			return
		}
		// A timer of no length is what ends a workflow task and begins another.
		_ = workflow.Sleep(ctx, time.Millisecond)
	}
}
