package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// localTimeout is the longest time-out with which a route may make an attempt within a workflow
// task. Temporal gives a task ten seconds; an attempt that took longer than its task would run
// twice at once.
const localTimeout = 5 * time.Second

// firstTaskLength is the length of history during the first try of the first workflow task: the
// workflow was started, the task scheduled, and the task started.
const firstTaskLength = 3

// run is one run of ProcessEvent.
type run struct {
	// event and body are handed to the routes.
	event event.Event
	body  converter.RawValue
	// sent and original are the event and the body as the sender sent them. They differ from
	// event and body if the body was corrected.
	sent                event.Event
	original, corrected converter.RawValue
	// routes are the routes of the plan, once it is known; succeeded names those that are done.
	routes    []event.Pending
	succeeded []string
	// unplanned holds the failures of routes that could not be run.
	unplanned []event.Failure
	// local tells whether this is the first try of the first workflow task. In a later try a
	// handler may have killed the worker of the one before, so no handler is tried within a task
	// any more.
	local bool
	// later is set when the plan came in a later task than the first. If that task were lost with
	// its worker, nothing would show it, so no handler is tried within it.
	later bool
	// lost is the number of attempts that may have been made in a workflow task that was lost
	// with its worker.
	lost   int
	budget budget

	// open counts the routes that are not settled, waiting those of them that are deferred.
	open, waiting int
	// renew is set when the run is to continue as new: all open routes wait, and the history has
	// grown long.
	renew bool
}

func newRun(ctx workflow.Context, e event.Event, body converter.RawValue) *run {
	info := workflow.GetInfo(ctx)
	r := &run{event: e, body: body, sent: e, original: body, local: info.GetCurrentHistoryLength() <= firstTaskLength}
	if !r.local && info.OriginalRunID == info.WorkflowExecution.RunID {
		r.lost = 1
	}
	return r
}

// correct hands the routes a corrected body instead of the sender's, and marks the event as
// corrected.
func (r *run) correct(past event.Past, corrected converter.RawValue) {
	if past.Correction != nil && corrected.Payload() != nil {
		r.body, r.corrected = corrected, corrected
		r.event.Corrected = past.Correction.At
	}
}

// answerPast sets the handler of the query for what a replay of this run would have to know.
func (r *run) answerPast(ctx workflow.Context, past event.Past) error {
	return workflow.SetQueryHandler(ctx, event.QueryPast, func() (event.Past, error) {
		now := past
		now.Done = append(slices.Clone(past.Done), r.succeeded...)
		now.Pending, now.Failed = nil, nil
		if r.routes != nil {
			now.Left, now.Undecided = nil, nil
			for _, f := range r.unplanned {
				now.Left = append(now.Left, f.Route)
				if f.Type == event.FailureUndecided {
					now.Undecided = append(now.Undecided, f.Route)
				}
			}
		}
		for _, p := range r.routes {
			if !slices.Contains(r.succeeded, p.Route.Name) {
				now.Left = append(now.Left, p.Route.Name)
			}
		}
		return now, nil
	})
}

// begin makes the pending routes of a new plan, with the attempts that may have been made
// already.
func (r *run) begin(ctx workflow.Context, routes []event.Route) []event.Pending {
	pending := make([]event.Pending, len(routes))
	for i, rt := range routes {
		pending[i] = event.Pending{Route: rt, First: workflow.Now(ctx)}
		if mayTryLocally(rt) {
			// An attempt that was lost with its worker counts: otherwise a handler that kills its
			// process would get one attempt too many.
			pending[i].Before = min(r.lost, rt.Retry.Attempts-1)
		}
	}
	return pending
}

// runRoutes runs the routes at once. It gives the failures in the order of the plan, and the routes
// still to run if the run has to continue as new.
func (r *run) runRoutes(ctx workflow.Context, routes []event.Pending) (failures []event.Failure, left []event.Pending) {
	settled := make([]*event.Failure, len(routes))
	r.routes, r.open = routes, len(routes)
	wg := workflow.NewWaitGroup(ctx)
	for i := range routes {
		wg.Add(1)
		workflow.GoNamed(ctx, routes[i].Route.Name, func(ctx workflow.Context) {
			defer wg.Done()
			if settled[i] = r.runRoute(ctx, &routes[i]); settled[i] == nil && !routes[i].Waits && ctx.Err() == nil {
				r.succeeded = append(r.succeeded, routes[i].Route.Name)
			}
			if !routes[i].Waits {
				r.open--
			}
		})
	}
	wg.Wait(ctx)
	for i, f := range settled {
		switch {
		case routes[i].Waits:
			left = append(left, routes[i])
		case f != nil:
			failures = append(failures, *f)
		}
	}
	return failures, left
}

// runRoute runs a route until it is done, has failed for good, or has to wait while the run
// continues as new. The first attempt is made within the workflow task, which costs Temporal
// nothing. The others are made by a regular activity, which people can watch.
func (r *run) runRoute(ctx workflow.Context, p *event.Pending) *event.Failure {
	rt := p.Route
	local := r.local && mayTryLocally(rt) && (!r.later || mayWakeLocally(rt))
	if p.Waits {
		if !r.wait(ctx, p) {
			return nil
		}
		local = mayWakeLocally(rt)
	}
	for {
		err := r.attempts(ctx, p, local)
		if err == nil {
			return nil
		}
		d, deferred := deferralOf(err)
		if !deferred {
			return r.failed(ctx, *p, err)
		}
		p.Defer(d, innermostMessage(err), workflow.Now(ctx))
		if !r.wait(ctx, p) {
			return nil
		}
		local = mayWakeLocally(rt)
	}
}

// attempts makes the remaining attempts at a route. The error is that of the last attempt, or
// says until when the event has to wait.
func (r *run) attempts(ctx workflow.Context, p *event.Pending, local bool) error {
	t := event.Task{Event: r.event, Route: p.Route, Before: p.Before, Shut: p.Shut, Tried: p.Tried}
	if p.Slot {
		t.Slot = p.Until
	}
	if local {
		err := try(ctx, t, r.body)
		if err == nil {
			return nil
		}
		if _, deferred := deferralOf(err); deferred {
			return err
		}
		t.Before++
		t.Tried = attemptsOf(err)
		p.Tried = t.Tried
		if isPermanent(err) || p.Route.Retry.Attempts <= t.Before {
			return err
		}
		retryDelay(ctx, t, err)
		t.Slot, t.Shut = time.Time{}, time.Time{}
	}
	if p.Route.TaskQueue != "" {
		if err := admit(ctx, t); err != nil {
			return err
		}
	}
	r.budget.take(ctx, len(r.body.Payload().GetData()))
	return attempt(ctx, t, r.body)
}

func (r *run) failed(ctx workflow.Context, p event.Pending, err error) *event.Failure {
	f := r.failure(ctx, p.Route, p.Route.Retry.Attempts, err)
	f.First, f.Tried = p.First, attemptsOf(err)
	if f.Tried == nil {
		f.Tried = p.Tried
	}
	return &f
}

func mayTryLocally(rt event.Route) bool {
	return rt.Timeout <= localTimeout && rt.TaskQueue == ""
}

// mayWakeLocally tells whether a deferred event may make its attempt within the workflow task
// that wakes it. It may at a destination, because that can't take the worker down.
func mayWakeLocally(rt event.Route) bool {
	return mayTryLocally(rt) && rt.Activity == event.ActivityDeliver
}

// From these lengths of history on, a waiting event asks more rarely. Temporal ends a workflow
// with 51,200 history events; one round of waiting writes up to twelve.
const (
	longHistory     = 2_000
	veryLongHistory = 10_000
)

// maxDeferral is the longest that an event waits before it asks again.
const maxDeferral = 24 * time.Hour

// wait waits until a deferred route may ask again. It uses a timer, whose summary says what is
// waited for and why; no worker is kept busy. It gives false when the run is to continue as new:
// when the history has grown long and all open routes wait.
func (r *run) wait(ctx workflow.Context, p *event.Pending) bool {
	p.Waits = true
	r.waiting++
	long := workflow.GetInfo(ctx).GetCurrentHistoryLength()
	if long > longHistory && r.waiting == r.open {
		r.renew = true
		return false
	}
	d := min(max(p.Until.Sub(workflow.Now(ctx)), time.Millisecond), maxDeferral)
	switch {
	case long > veryLongHistory:
		d = max(d, time.Hour) // Another route is still being retried.
	case long > longHistory:
		d = max(d, 5*time.Minute)
	}
	summary := event.Clean(p.Reason, maxSummary)
	showWait(ctx, summary)
	renewed, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: d, TimerOptions: workflow.TimerOptions{Summary: summary},
	}, func() bool { return r.renew })
	if renewed || err != nil {
		return false // Renewed, or cancelled by hand.
	}
	r.waiting--
	p.Waits = false
	return true
}

// retryDelay waits for the retry delay after an attempt within the workflow task. The Web UI
// shows the timer's summary.
func retryDelay(ctx workflow.Context, t event.Task, err error) {
	d := nextRetry(err, t)
	until := workflow.Now(ctx).Add(d).UTC().Format(time.DateTime)
	summary := event.Clean(fmt.Sprintf("%s goes on at %s, attempt %d of %d failed: %s",
		t.Route.Name, until, t.Before, t.Route.Retry.Attempts, innermostMessage(err)), maxSummary)
	showWait(ctx, summary)
	// A timer fails only when its context is cancelled, and then the activity that follows ends
	// too.
	_ = workflow.NewTimerWithOptions(ctx, d, workflow.TimerOptions{Summary: summary}).Get(ctx, nil)
}

// showWait shows in the Web UI what a run waits for. The Web UI takes it for Markdown, and a
// destination, or a sender, may have written some of it.
func showWait(ctx workflow.Context, text string) {
	var b strings.Builder
	event.WriteMarkdown(&b, text)
	workflow.SetCurrentDetails(ctx, b.String())
}

// maxSummary is the most characters of a summary. Temporal takes at most 400 bytes.
const maxSummary = 200

// budget keeps what one workflow task sends below Temporal's limit of 4 MiB for a message. A task
// above the limit would fail for ever, and nobody would see it.
type budget struct {
	task int // length of history when the current task began
	sent int // bytes of bodies in the current task
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
		// A timer, however short, ends this workflow task and begins another.
		_ = workflow.Sleep(ctx, time.Millisecond)
	}
}
