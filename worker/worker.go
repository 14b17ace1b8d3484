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
	// TaskQueue is where it takes its work from.
	TaskQueue string
	// Activities does the work.
	Activities *activities.Activities
	// Observer hears of every event that is settled; may be nil.
	Observer Observer
	// Interceptors see every activity and workflow; the first of them the outermost.
	Interceptors []interceptor.WorkerInterceptor
	// OnFatal hears of an error that the worker can't recover from.
	OnFatal func(error)
}

// stopTimeout is how long a stopping worker waits for attempts under way: ten
// seconds is what a workflow task may take.
const stopTimeout = 10 * time.Second

// pollerBehavior lets Temporal say how many calls wait for work. Two, as the SDK has it,
// bring no more than two events in the time of a call to a worker that takes no
// part in eager starts; many would burden an idle Temporal for nothing.
func pollerBehavior() sdkworker.PollerBehavior {
	return sdkworker.NewPollerBehaviorAutoscaling(sdkworker.PollerBehaviorAutoscalingOptions{
		InitialNumberOfPollers: 4, MinimumNumberOfPollers: 2, MaximumNumberOfPollers: 32,
	})
}

// New makes a worker with everything registered. It takes part in eager starts
// of the same client once it is started.
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
