// Package worker runs the workflows and activities of grapnel on a task queue.
package worker

import (
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/workflows"
)

// Options say what a worker runs.
type Options struct {
	// TaskQueue is the task queue that the worker polls.
	TaskQueue string
	// Activities are the activities that it runs.
	Activities *activities.Activities
	// Observer is told of every event that is settled; may be nil.
	Observer Observer
	// Interceptors are called around every activity and workflow; the first one is the outermost.
	Interceptors []interceptor.WorkerInterceptor
	// OnFatal is called with an error from which the worker can't recover.
	OnFatal func(error)
}

// stopTimeout is how long a stopping worker waits for attempts under way. Ten seconds is as long
// as a workflow task may take.
const stopTimeout = 10 * time.Second

// pollerBehavior lets Temporal decide how many calls of the worker wait for work. A worker
// without eager starts gets one event with each call: with two such calls, the SDK's default, it
// would get two events at a time. Many calls would burden an idle Temporal for nothing.
func pollerBehavior() sdkworker.PollerBehavior {
	return sdkworker.NewPollerBehaviorAutoscaling(sdkworker.PollerBehaviorAutoscalingOptions{
		InitialNumberOfPollers: 4, MinimumNumberOfPollers: 2, MaximumNumberOfPollers: 32,
	})
}

// New makes a worker with all workflows and activities registered. Once it is started, it takes
// part in the eager starts of the same client.
func New(c client.Client, o Options) sdkworker.Worker {
	w := sdkworker.New(c, o.TaskQueue, sdkworker.Options{
		WorkerStopTimeout:           stopTimeout,
		WorkflowTaskPollerBehavior:  pollerBehavior(),
		ActivityTaskPollerBehavior:  pollerBehavior(),
		DisableRegistrationAliasing: true,
		OnFatalError:                o.OnFatal,
		Interceptors:                append([]interceptor.WorkerInterceptor{observe(o.Observer)}, o.Interceptors...),
	})
	workflows.Register(w)
	o.Activities.Register(w)
	return w
}
