package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
)

// DefaultRetention is how long Temporal keeps a closed workflow unless
// configured otherwise: the window in which a repeated event is known as one.
const DefaultRetention = 720 * time.Hour

// Bounds of Setup: of the whole where the caller's context has no deadline,
// of one call, and of the pauses between tries.
const (
	setupTimeout = 2 * time.Minute
	callTimeout  = 10 * time.Second
	retryFirst   = 100 * time.Millisecond
	retryMax     = 2 * time.Second
)

// ErrIncomplete is returned by Setup, wrapped, when a step was not permitted
// or failed; the report says which and what to do.
var ErrIncomplete = errors.New("the set-up of Temporal is incomplete")

// Services is the part of a client.Client that Setup and Ready use.
type Services interface {
	WorkflowService() workflowservice.WorkflowServiceClient
	OperatorService() operatorservice.OperatorServiceClient
}

// SetupOptions say what Temporal must have.
type SetupOptions struct {
	// Namespace to make or to complete; empty means DefaultNamespace.
	Namespace string
	// Retention of closed workflows; zero means DefaultRetention. Temporal
	// refuses less than an hour, and less than a day for a global namespace.
	Retention time.Duration
	// AllowShorter lets an existing namespace's longer retention be cut,
	// which deletes what is older. Without it a longer one is kept, because
	// the namespace may be shared with others.
	AllowShorter bool
	// Logger hears of long waits; nil drops them.
	Logger *slog.Logger

	pauseMax time.Duration // Between tries; zero means retryMax.
}

// Setup makes the namespace with its retention and adds the search attributes
// that are missing, then waits until they can be used. It is safe to repeat
// and to run many times at once. It waits for a Temporal that is not there
// yet until ctx ends, at most two minutes where ctx has no deadline. The
// report is right also when the error is not nil.
func Setup(ctx context.Context, s Services, o SetupOptions) (Report, error) {
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.Retention == 0 {
		o.Retention = DefaultRetention
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.pauseMax == 0 {
		o.pauseMax = retryMax
	}
	if o.Retention < 0 {
		return Report{}, fmt.Errorf("retention %s is negative: give a duration of a day or more", o.Retention)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, setupTimeout)
		defer cancel()
	}
	r := &setupRun{services: s, options: o, report: Report{Namespace: o.Namespace}}
	err := r.all(ctx)
	if err == nil && !r.report.Complete() {
		err = fmt.Errorf("%w: namespace %s:\n%s", ErrIncomplete, o.Namespace, r.report)
	}
	return r.report, err
}

// setupRun is one Setup under way.
type setupRun struct {
	services Services
	options  SetupOptions
	report   Report
}

func (r *setupRun) all(ctx context.Context) error {
	there, err := r.namespace(ctx)
	if err != nil || !there {
		return err
	}
	there, err = r.attributes(ctx)
	if err != nil || !there {
		return err
	}
	if err := r.unique(ctx); err != nil {
		return err
	}
	return r.usable(ctx)
}

// usable waits until the frontend knows the search attributes: it reads them
// from a cache that a cluster refreshes by the clock.
func (r *setupRun) usable(ctx context.Context) error {
	err := r.retry(ctx, "search attributes become usable", func(ctx context.Context) error {
		err := probe(ctx, r.services, r.options.Namespace)
		if isInvalid(err) {
			return notYet{err}
		}
		return unseen(err)
	})
	if err == nil || isDenied(err) {
		return nil // Who may not list workflows may still start them.
	}
	return fmt.Errorf("search attributes of namespace %s are registered but cannot be used yet: %w", r.options.Namespace, err)
}

// notYet marks an error that time is expected to heal.
type notYet struct{ error }

func (n notYet) Unwrap() error { return n.error }

// unseen marks the error of a call that did not find the namespace, which the
// steps before have: a frontend that has just looked for it in vain goes on
// saying so for a second, and others learn of it by the clock.
func unseen(err error) error {
	if isNotFound(err) {
		return notYet{err}
	}
	return err
}

// retry repeats call while Temporal is away, busy, or not ready yet. What ends
// the waiting is ctx, and then the last error is given.
func (r *setupRun) retry(ctx context.Context, what string, call func(context.Context) error) error {
	pause, began, told := retryFirst, time.Now(), false
	for {
		one, cancel := context.WithTimeout(ctx, callTimeout)
		err := call(one)
		cancel()
		if err == nil || !isPassing(err) {
			return err
		}
		if !told && time.Since(began) > retryMax {
			told = true
			r.options.Logger.Info("waiting for Temporal", "until", what, "error", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting until %s: %w", what, err)
		case <-time.After(pause):
			pause = min(2*pause, r.options.pauseMax)
		}
	}
}

func isPassing(err error) bool {
	var (
		wait        notYet
		unavailable *serviceerror.Unavailable
		late        *serviceerror.DeadlineExceeded
		busy        *serviceerror.ResourceExhausted
		aborted     *serviceerror.Aborted
	)
	return errors.As(err, &wait) || errors.As(err, &unavailable) || errors.As(err, &late) ||
		errors.As(err, &busy) || errors.As(err, &aborted) || errors.Is(err, context.DeadlineExceeded)
}

func isDenied(err error) bool {
	var (
		denied        *serviceerror.PermissionDenied
		unimplemented *serviceerror.Unimplemented
	)
	return errors.As(err, &denied) || errors.As(err, &unimplemented)
}

func isNotFound(err error) bool {
	var (
		namespace *serviceerror.NamespaceNotFound
		other     *serviceerror.NotFound
	)
	return errors.As(err, &namespace) || errors.As(err, &other)
}

func isInvalid(err error) bool {
	var invalid *serviceerror.InvalidArgument
	return errors.As(err, &invalid)
}
