package handlertest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/event"
)

// attempts records every attempt at a handler, as an interceptor of the worker.
type attempts struct {
	interceptor.WorkerInterceptorBase

	mu  sync.Mutex
	all []Attempt
	// now is the clock of the Temporal that the kit runs.
	now func() time.Time
	// skip names an activity that is not run, because the kit has nothing on which to run it; may
	// be empty.
	skip string
}

func (l *attempts) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

func (l *attempts) since(n int) []Attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all[n:])
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (l *attempts) InterceptActivity(
	_ context.Context, next interceptor.ActivityInboundInterceptor,
) interceptor.ActivityInboundInterceptor {
	i := &attemptListener{log: l}
	i.Next = next
	return i
}

type attemptListener struct {
	interceptor.ActivityInboundInterceptorBase
	log *attempts
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (i *attemptListener) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	if i.log.skip != "" && info.ActivityType.Name == i.log.skip {
		return nil, nil //nolint:nilnil // As an activity without a result.
	}
	at := i.log.now()
	out, err := i.Next.ExecuteActivity(ctx, in)
	for _, arg := range in.Args {
		if task, ok := arg.(event.Task); ok {
			i.log.add(Attempt{Handler: task.Route.Name, Number: task.Before + int(info.Attempt), At: at}, err)
		}
	}
	return out, err //nolint:wrapcheck // The interceptor changes nothing.
}

func (l *attempts) add(a Attempt, err error) {
	if err != nil {
		a.Error = err.Error()
	}
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		a.Error, a.Permanent = app.Message(), app.NonRetryable()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, a)
}
