package destination

import (
	"context"
	"errors"
	"time"

	"github.com/grapnel/grapnel/internal/event"
)

// Activity is an activity on another task queue, where a worker of any Temporal SDK runs it. The
// activity gets two arguments: a JSON object whose members event, route, before and slot are
// those of event.Task, and the body exactly as the sender sent it.
type Activity struct {
	// Name is the type of the activity.
	Name string `yaml:"name"`
	// TaskQueue is the task queue of the worker that runs the activity.
	TaskQueue string `yaml:"task_queue"`
	// Timeout is how long one attempt may take.
	Timeout time.Duration `yaml:"timeout"`
	// StartWithin is how long an event waits for a worker to take it. After that the event
	// becomes a dead letter that says so.
	StartWithin time.Duration `yaml:"start_within"`
}

// SetDefaults sets the values of keys that the file does not give.
func (a *Activity) SetDefaults() { a.Timeout, a.StartWithin = time.Minute, 24*time.Hour }

func (a *Activity) check(_ *Spec, r Report) {
	if a.Name == "" {
		r.Fault("activity.name", "is missing; give the type of the activity, as its worker registers it")
	}
	if a.TaskQueue == "" {
		r.Fault("activity.task_queue", "is missing; give the task queue of the activity's worker")
	}
	r.Duration("activity.timeout", a.Timeout, shortestDelay, 24*time.Hour)
	r.Duration("activity.start_within", a.StartWithin, time.Second, longestDelay)
	for _, key := range []string{"breaker", "limit.concurrency"} {
		if r.Given(key) {
			r.Fault(key, "has no effect on an activity, whose own worker bounds what it takes; remove the setting")
		}
	}
	if r.Given("transform") {
		r.Fault("transform", "has no effect on an activity, which gets the event as it came; remove the setting")
	}
}

func (a *Activity) open(s *Spec, _ Deps) (Kind, error) {
	return &activityDestination{name: s.Name, spec: *a}, nil
}

// activityDestination is a checked Activity, ready to take events.
type activityDestination struct {
	name string
	spec Activity
}

// Route implements Kind.
func (q *activityDestination) Route(r *event.Route) {
	r.Activity, r.TaskQueue, r.Timeout, r.StartWithin = q.spec.Name, q.spec.TaskQueue, q.spec.Timeout, q.spec.StartWithin
}

// Deliver implements Kind, and always fails: Temporal itself takes the event to the activity's
// worker, so nothing of it runs here.
func (q *activityDestination) Deliver(context.Context, Delivery) error {
	return &Error{
		Destination: q.name, URL: q.Target(), Permanent: true,
		Err: errors.New("an activity is run by its own worker"),
	}
}

// Target implements Kind.
func (q *activityDestination) Target() string { return q.spec.target() }

func (a *Activity) target() string { return "activity " + a.Name + " on " + a.TaskQueue }

// Close implements Kind.
func (q *activityDestination) Close() {}
