package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/event"
)

// Story is all that Temporal knows of one event.
type Story struct {
	Row
	Event event.Event `json:"event"`
	// Body is the body, byte for byte as it was sent.
	Body []byte `json:"-"`
	// Routes is the plan, with what became of each route in this run.
	Routes []RouteState `json:"routes,omitempty"`
	// Letter is what a dead letter says.
	Letter *event.Letter `json:"letter,omitempty"`
	// Steps are what happened in the run that is shown, the oldest first.
	Steps []Step `json:"steps"`
	// Runs are the other runs of the event, the latest first.
	Runs []Row `json:"runs,omitempty"`
}

// RouteState is one route of an event's plan.
type RouteState struct {
	Name string `json:"name"`
	// State is waiting, running, done or failed.
	State string `json:"state"`
	// Attempt is the number of attempts begun, Attempts how many there may be.
	Attempt  int `json:"attempt"`
	Attempts int `json:"attempts"`
	// Next is when the next attempt is due; zero when none is.
	Next time.Time `json:"next,omitzero"`
	// Failure is what the last attempt failed with.
	Failure string `json:"failure,omitempty"`
	// Why says what it waits for.
	Why string `json:"why,omitempty"`
}

// Step is one thing that happened to an event.
type Step struct {
	Time time.Time `json:"time"`
	// Kind is received, planned, attempt, failed, wait, done, dead, replayed or ended.
	Kind  string `json:"kind"`
	Route string `json:"route,omitempty"`
	Text  string `json:"text"`
	// Stack is the stack of a panic.
	Stack string `json:"stack,omitempty"`
	// Took is how long an attempt took, where that is known.
	Took time.Duration `json:"took,omitempty"`
}

// maxHistory is how many history events are read of one event.
const maxHistory = 2000

// Show tells all of an event by its latest run.
func (l *Log) Show(ctx context.Context, id string) (*Story, error) {
	d, err := l.temporal.DescribeWorkflowExecution(ctx, id, "")
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("look up event %s: %w", id, err)
	}
	f := &Story{Row: rowOf(d.GetWorkflowExecutionInfo())}
	tasks := map[string]event.Task{}
	if err := l.read(ctx, f, tasks); err != nil {
		return nil, err
	}
	f.pending(d.GetPendingActivities(), tasks)
	// What a letter remembers of earlier runs is told beside what this run did.
	slices.SortStableFunc(f.Steps, func(a, b Step) int { return a.Time.Compare(b.Time) })
	f.Runs, err = l.others(ctx, f.Row)
	return f, err
}

// others are the runs of an event besides one.
func (l *Log) others(ctx context.Context, not Row) ([]Row, error) {
	page, err := l.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: l.namespace, Query: "WorkflowId = " + event.QueryValue(not.ID) + ` AND ExecutionStatus != "ContinuedAsNew"`, PageSize: 100,
	})
	if err != nil {
		return nil, fmt.Errorf("list the runs of event %s: %w", not.ID, err)
	}
	var rows []Row
	for _, x := range page.GetExecutions() {
		if row := rowOf(x); row.Run != not.Run {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// read reads the history of the run, and what each of its activities was asked.
func (l *Log) read(ctx context.Context, f *Story, tasks map[string]event.Task) error {
	events := l.temporal.GetWorkflowHistory(ctx, f.ID, f.Run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	r := &historyReader{log: l, full: f, scheduled: map[int64]*historypb.ActivityTaskScheduledEventAttributes{}, began: map[int64]time.Time{}, tasks: tasks}
	for n := 0; events.HasNext() && n < maxHistory; n++ {
		e, err := events.Next()
		if err != nil {
			return fmt.Errorf("read the history of event %s: %w", f.ID, err)
		}
		r.event(e)
	}
	return nil
}

// historyReader turns a history into steps.
type historyReader struct {
	log       *Log
	full      *Story
	scheduled map[int64]*historypb.ActivityTaskScheduledEventAttributes
	began     map[int64]time.Time
	// tasks are what the activities were asked to do, by their IDs.
	tasks map[string]event.Task
}

func (r *historyReader) step(e *historypb.HistoryEvent, s Step) {
	s.Time = e.GetEventTime().AsTime()
	r.full.Steps = append(r.full.Steps, s)
}

// event reads one event of the history. What is not named here says nothing of the webhook's event.
func (r *historyReader) event(e *historypb.HistoryEvent) {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		r.started(e, e.GetWorkflowExecutionStartedEventAttributes())
	case enumspb.EVENT_TYPE_MARKER_RECORDED:
		r.marker(e)
	case enumspb.EVENT_TYPE_TIMER_STARTED:
		r.waits(e)
	case enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED:
		a := e.GetWorkflowTaskFailedEventAttributes()
		if a.GetCause() != enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW {
			r.step(e, Step{Kind: "failed", Text: "a workflow task failed: " + a.GetFailure().GetMessage()})
		}
	default:
		r.activity(e)
		r.ended(e)
	}
}

// activity reads how an activity goes.
func (r *historyReader) activity(e *historypb.HistoryEvent) {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		a := e.GetActivityTaskScheduledEventAttributes()
		t := r.task(a.GetInput())
		r.scheduled[e.GetEventId()], r.tasks[a.GetActivityId()] = a, t
		if rt := r.route(t.Route.Name); rt != nil && rt.State == "waiting" {
			rt.State, rt.Next, rt.Why = "running", time.Time{}, ""
		}
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
		r.attempted(e, e.GetActivityTaskStartedEventAttributes())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		a := e.GetActivityTaskCompletedEventAttributes()
		r.settle(e, a.GetScheduledEventId(), a.GetStartedEventId(), nil)
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		a := e.GetActivityTaskFailedEventAttributes()
		r.settle(e, a.GetScheduledEventId(), a.GetStartedEventId(), a.GetFailure())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		a := e.GetActivityTaskTimedOutEventAttributes()
		r.settle(e, a.GetScheduledEventId(), a.GetStartedEventId(), a.GetFailure())
	default: // It is about something else.
	}
}

// ended reads how the run ended.
func (r *historyReader) ended(e *historypb.HistoryEvent) {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
		r.step(e, Step{Kind: "done", Text: "handled"})
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
		kind, text := "ended", "ended with an error that no plan foresees"
		if r.full.State == Dead {
			kind, text = "dead", "became a dead letter"
		}
		r.step(e, Step{Kind: kind, Text: text})
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
		a := e.GetWorkflowExecutionTerminatedEventAttributes()
		r.step(e, Step{Kind: "ended", Text: "terminated by " + a.GetIdentity() + ": " + a.GetReason()})
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
		r.step(e, Step{Kind: "ended", Text: "cancelled"})
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		r.step(e, Step{Kind: "wait", Text: "goes on in another run"})
	default: // It is about something else.
	}
}

// started reads the event, its body, and what a dead letter or a replay brings
// along.
func (r *historyReader) started(e *historypb.HistoryEvent, a *historypb.WorkflowExecutionStartedEventAttributes) {
	payloads := a.GetInput().GetPayloads()
	decode := func(i int, to any) bool {
		return i < len(payloads) && r.log.converter.FromPayload(payloads[i], to) == nil
	}
	decode(0, &r.full.Event)
	var body converter.RawValue
	if decode(1, &body) {
		r.full.Body = body.Payload().GetData()
	}
	if at := r.full.Event.Received; !at.IsZero() {
		r.full.Steps = append(r.full.Steps, Step{Time: at, Kind: "received", Text: "received from " + r.full.Event.Source})
	}
	var replays []event.Replay
	if kind := a.GetWorkflowType().GetName(); kind == event.DeadLetter || kind == typeDiscarded {
		var letter event.Letter
		if decode(2, &letter) {
			r.full.Letter, replays = &letter, letter.Replays
			r.letter(letter)
		}
	} else {
		var past event.Past
		if decode(2, &past) {
			replays = past.Replays
			for _, name := range past.Done {
				r.full.Routes = append(r.full.Routes, RouteState{Name: name, State: "done"})
			}
		}
	}
	for _, p := range replays {
		r.full.Steps = append(r.full.Steps, Step{Time: p.At, Kind: "replayed", Text: "replayed; before, it had failed with: " + p.Error})
	}
}

// letter tells what a dead letter knows of its routes.
func (r *historyReader) letter(letter event.Letter) {
	for _, name := range letter.Done {
		r.full.Routes = append(r.full.Routes, RouteState{Name: name, State: "done"})
	}
	for _, x := range letter.Failures {
		if x.Route != "" {
			r.full.Routes = append(r.full.Routes, RouteState{
				Name: x.Route, State: "failed", Attempt: x.Attempts, Attempts: x.Attempts, Failure: x.Message,
			})
		}
		at := x.Last
		if at.IsZero() {
			at = r.full.Started
		}
		text := x.Message
		if x.Attempts > 1 {
			text = fmt.Sprintf("failed for good after %d attempts: %s", x.Attempts, x.Message)
		}
		r.full.Steps = append(r.full.Steps, Step{Time: at, Kind: "failed", Route: x.Route, Text: text, Stack: x.Stack})
	}
}

// localMarker is how the SDK records a local activity.
type localMarker struct {
	ActivityID   string
	ActivityType string
	Attempt      int32
}

// marker reads the result of a local activity: the plan, or a first attempt.
func (r *historyReader) marker(e *historypb.HistoryEvent) {
	a := e.GetMarkerRecordedEventAttributes()
	if a.GetMarkerName() != "LocalActivity" {
		return
	}
	var m localMarker
	if data := a.GetDetails()["data"].GetPayloads(); len(data) == 0 || r.log.converter.FromPayload(data[0], &m) != nil {
		return
	}
	switch m.ActivityType {
	case event.ActivityRoute:
		var plan event.Plan
		if result := a.GetDetails()["result"].GetPayloads(); len(result) > 0 && r.log.converter.FromPayload(result[0], &plan) == nil {
			r.planned(e, plan)
		}
	case event.ActivityTry:
		name := summaryText(e.GetUserMetadata().GetSummary())
		rt := r.route(name)
		if rt == nil {
			rt = &RouteState{} // Of no plan that could be read: only the step is told.
		}
		f := a.GetFailure()
		if n, deferred := putOff(f); deferred {
			rt.State, rt.Attempt = "waiting", n // The timer that follows says why.
			return
		}
		rt.Attempt++
		if f != nil {
			text, stack := failureText(f)
			rt.State, rt.Failure = "waiting", text
			r.step(e, Step{Kind: "failed", Route: name, Text: fmt.Sprintf("attempt %d: %s", rt.Attempt, text), Stack: stack})
			return
		}
		rt.State = "done"
		r.step(e, Step{Kind: "done", Route: name, Text: fmt.Sprintf("attempt %d succeeded", rt.Attempt)})
	}
}

func (r *historyReader) planned(e *historypb.HistoryEvent, plan event.Plan) {
	names := make([]string, 0, len(plan.Routes))
	for _, rt := range plan.Routes {
		names = append(names, rt.Name)
		r.full.Routes = append(r.full.Routes, RouteState{Name: rt.Name, State: "waiting", Attempts: rt.Retry.Attempts})
	}
	text := "planned for " + strings.Join(names, ", ")
	switch {
	case plan.Ignore:
		text = "no route takes it, and its source says that this is fine"
	case len(names) == 0:
		text = "no route takes it"
	}
	if len(plan.Declined) > 0 {
		text += "; the condition of " + strings.Join(plan.Declined, ", ") + " does not hold"
	}
	for _, f := range plan.Failed {
		text += "; " + f.Route + " failed: " + f.Message
		r.full.Routes = append(r.full.Routes, RouteState{Name: f.Route, State: "failed", Failure: f.Message})
	}
	r.step(e, Step{Kind: "planned", Text: text})
}

// attempted begins a step that settle ends; an attempt that failed before says so
// in the one that follows it.
func (r *historyReader) attempted(e *historypb.HistoryEvent, a *historypb.ActivityTaskStartedEventAttributes) {
	r.began[e.GetEventId()] = e.GetEventTime().AsTime()
	t := r.task(r.scheduled[a.GetScheduledEventId()].GetInput())
	n := t.Before + int(a.GetAttempt())
	if rt := r.route(t.Route.Name); rt != nil {
		rt.Attempt, rt.State = n, "running"
	}
	if f := a.GetLastFailure(); f != nil && a.GetAttempt() > 1 {
		text, stack := failureText(f)
		r.step(e, Step{Kind: "failed", Route: t.Route.Name, Text: fmt.Sprintf("attempt %d: %s", n-1, text), Stack: stack})
	}
}

func (r *historyReader) settle(e *historypb.HistoryEvent, scheduled, started int64, f *failurepb.Failure) {
	t := r.task(r.scheduled[scheduled].GetInput())
	rt := r.route(t.Route.Name)
	n := 0
	if rt != nil {
		n = rt.Attempt
	}
	took := time.Duration(0)
	if at, ok := r.began[started]; ok {
		took = e.GetEventTime().AsTime().Sub(at)
	}
	if made, deferred := putOff(f); deferred {
		if rt != nil {
			rt.State, rt.Attempt = "waiting", made
		}
		return // The timer that follows says why.
	}
	s := Step{Kind: "done", Route: t.Route.Name, Text: fmt.Sprintf("attempt %d succeeded", n), Took: took}
	state, message := "done", ""
	if f != nil {
		message, s.Stack = failureText(f)
		state, s.Kind, s.Text = "failed", "failed", fmt.Sprintf("attempt %d: %s", n, message)
	}
	if rt != nil {
		rt.State, rt.Failure, rt.Why, rt.Next = state, message, "", time.Time{}
	}
	r.step(e, s)
}

// route finds a route of the plan by its name.
func (r *historyReader) route(name string) *RouteState {
	for i := range r.full.Routes {
		if r.full.Routes[i].Name == name {
			return &r.full.Routes[i]
		}
	}
	return nil
}

// task is what an activity was asked to do.
func (r *historyReader) task(input *commonpb.Payloads) (t event.Task) {
	if p := input.GetPayloads(); len(p) > 0 {
		// What is no task is no attempt at a route: the zero value names none.
		_ = r.log.converter.FromPayload(p[0], &t)
	}
	return t
}

// waits tells of a timer. Its summary begins with the route that it is for.
func (r *historyReader) waits(e *historypb.HistoryEvent) {
	text := summaryText(e.GetUserMetadata().GetSummary())
	if text == "" {
		return // One of no length, which only ends a workflow task.
	}
	r.step(e, Step{Kind: "wait", Text: text})
	until := e.GetEventTime().AsTime().Add(e.GetTimerStartedEventAttributes().GetStartToFireTimeout().AsDuration())
	for i := range r.full.Routes {
		if rt := &r.full.Routes[i]; strings.HasPrefix(text, rt.Name+" ") || strings.HasPrefix(text, "destination "+rt.Name+": ") {
			rt.State, rt.Next, rt.Why = "waiting", until, text
		}
	}
}

// pending adds what the activities under way are waiting for.
func (f *Story) pending(all []*workflowpb.PendingActivityInfo, tasks map[string]event.Task) {
	for _, p := range all {
		t := tasks[p.GetActivityId()]
		for i := range f.Routes {
			if f.Routes[i].Name == t.Route.Name {
				f.Routes[i].await(f, p, t.Before)
			}
		}
	}
}

// await says how far a route has come whose activity is under way; before is the
// number of attempts made before that.
func (rt *RouteState) await(f *Story, p *workflowpb.PendingActivityInfo, before int) {
	rt.Attempt, rt.State = before+int(p.GetAttempt()), "running"
	next := p.GetNextAttemptScheduleTime()
	if p.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED {
		rt.Attempt-- // It is the number of the attempt that is to come.
		rt.State, rt.Why = "waiting", "a worker to take it"
		if !next.IsValid() && p.GetScheduledTime().AsTime().After(time.Now()) {
			next = p.GetScheduledTime()
		}
	}
	if next.IsValid() {
		rt.State, rt.Next, rt.Why = "waiting", next.AsTime(), "the delay after a failed attempt"
	}
	last := p.GetLastFailure()
	if last == nil {
		return
	}
	text, stack := failureText(last)
	failed := before + int(p.GetAttempt()) - 1
	rt.Failure = text
	f.Steps = append(f.Steps, Step{
		Time: p.GetLastAttemptCompleteTime().AsTime(), Kind: "failed", Route: rt.Name,
		Text: fmt.Sprintf("attempt %d: %s", failed, text), Stack: stack,
	})
}

// failureText is the text of the innermost failure, and its stack.
func failureText(f *failurepb.Failure) (text, stack string) {
	for f.GetCause() != nil && f.GetApplicationFailureInfo() == nil {
		f = f.GetCause()
	}
	text = f.GetMessage()
	var d event.Detail
	if details := f.GetApplicationFailureInfo().GetDetails().GetPayloads(); len(details) > 0 {
		if converter.GetDefaultDataConverter().FromPayload(details[0], &d) == nil {
			stack = d.Stack
		}
	}
	return text, stack
}

// putOff tells whether a failure is that of an event that has to wait, and how many
// attempts were made before.
func putOff(f *failurepb.Failure) (attempts int, deferred bool) {
	for f.GetCause() != nil && f.GetApplicationFailureInfo() == nil {
		f = f.GetCause()
	}
	info := f.GetApplicationFailureInfo()
	if info.GetType() != event.FailureDeferred {
		return 0, false
	}
	var d event.Detail
	if details := info.GetDetails().GetPayloads(); len(details) > 0 {
		_ = converter.GetDefaultDataConverter().FromPayload(details[0], &d) // Without them none was made.
	}
	return d.Attempt, true
}

// summaryText is a text that was set for people.
func summaryText(p *commonpb.Payload) (text string) {
	if p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, &text) // Without one there is none.
	}
	return text
}
