package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/program"
)

// DefaultRetention is how long Temporal keeps a closed workflow unless configured otherwise. For
// that time a repeated event is recognised as a duplicate.
const DefaultRetention = 720 * time.Hour

// Bounds of Setup: of the whole if the caller's context has no deadline, of one call, and of the
// pauses between tries.
const (
	setupTimeout = 2 * time.Minute
	callTimeout  = 10 * time.Second
	retryFirst   = 100 * time.Millisecond
	retryMax     = 2 * time.Second
)

// ErrIncomplete says that a step of Setup was not permitted or failed. The report says which, and
// what to do.
var ErrIncomplete = errors.New("the set-up of Temporal is incomplete")

// Services is the part of a client.Client that Setup and Ready use.
type Services interface {
	WorkflowService() workflowservice.WorkflowServiceClient
	OperatorService() operatorservice.OperatorServiceClient
}

// SetupOptions say what Temporal must have.
type SetupOptions struct {
	// Namespace is made, or completed if it exists; empty means DefaultNamespace.
	Namespace string
	// Retention is how long closed workflows are kept; zero means DefaultRetention. Temporal
	// refuses less than an hour, and less than a day for a global namespace.
	Retention time.Duration
	// Update allows changing the retention of an existing namespace. Without it the namespace keeps
	// its own, because others may use it too.
	Update bool
	// AllowShorter allows Update to shorten the retention, which deletes older workflows.
	AllowShorter bool
	// Logger takes messages about long waits; nil drops them.
	Logger *slog.Logger

	pauseMax time.Duration // The longest pause between tries; zero means retryMax.
}

// Setup makes the namespace with its retention, adds the search attributes that are missing, and
// waits until they can be used. It changes the retention of an existing namespace only if the
// options allow it, and as its last step, so that a set-up that fails has not changed it. It is
// safe to repeat, and to run many times at once. While Temporal does not answer, Setup waits until
// ctx ends, or for two minutes if ctx has no deadline. The report is valid even if the error is not
// nil. The error wraps ErrIncomplete if a step was not permitted or failed, and ErrUnreachable if
// Temporal did not answer in all that time.
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
	err := r.run(ctx)
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
	// retained is the retention of a namespace that was there before; 0 if it was made now.
	retained time.Duration
}

func (r *setupRun) run(ctx context.Context) error {
	there, err := r.namespace(ctx)
	if err != nil || !there {
		return err
	}
	there, err = r.attributes(ctx)
	if err != nil || !there {
		return err
	}
	if err := r.freeColumns(ctx); err != nil {
		return err
	}
	if err := r.awaitUsable(ctx); err != nil || r.retained == 0 {
		return err
	}
	return r.retention(ctx, r.retained)
}

// awaitUsable waits until the frontend knows the search attributes: it caches them, and a cluster
// refreshes the cache on a timer.
func (r *setupRun) awaitUsable(ctx context.Context) error {
	err := r.retry(ctx, "search attributes become usable", func(ctx context.Context) error {
		err := probeAttributes(ctx, r.services, r.options.Namespace)
		if isInvalid(err) {
			return notYet{err}
		}
		return asNotYet(err)
	})
	if err == nil || isDenied(err) {
		return nil // A key that may not list workflows may still start them.
	}
	return fmt.Errorf("search attributes of namespace %s are registered but cannot be used yet: %w", r.options.Namespace, err)
}

// notYet marks an error that is expected to go away with time, so that retry goes on.
type notYet struct{ error }

func (n notYet) Unwrap() error { return n.error }

// asNotYet marks the error that the namespace does not exist. Earlier steps have found or made it,
// but a frontend caches for a second that it was missing, and other frontends learn of it on a
// timer.
func asNotYet(err error) error {
	if isNotFound(err) {
		return notYet{err}
	}
	return err
}

// retry repeats call while Temporal is away, busy, or not ready yet. When ctx ends, it returns the
// last error. what completes the log line "waiting for Temporal until".
func (r *setupRun) retry(ctx context.Context, what string, call func(context.Context) error) error {
	pause, began, told := retryFirst, time.Now(), false
	for {
		one, cancel := context.WithTimeout(ctx, callTimeout)
		err := call(one)
		cancel()
		if err == nil || !isTransient(err) {
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

// isTransient tells errors that a later call may not have.
func isTransient(err error) bool {
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

// isOtherServer tells an answer that is HTTP but not gRPC, so that no Temporal has given it. gRPC
// makes codes of its status that Temporal gives too, and only its text tells.
func isOtherServer(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "unexpected HTTP status code") || strings.Contains(err.Error(), "content-type"))
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

// The errors of Ready. Both are wrapped in a sentence that says what to do.
var (
	// ErrUnreachable: Temporal does not answer, or refuses us.
	ErrUnreachable = errors.New("cannot reach Temporal")
	// ErrNotSetUp: Temporal answers, but the namespace or a search attribute is missing or of the
	// wrong type.
	ErrNotSetUp = errors.New("this Temporal is not set up for grapnel")
)

// Ready checks once whether events can be started in the namespace now: Temporal answers, the
// namespace is registered, and the search attributes are there. The error wraps ErrUnreachable or
// ErrNotSetUp.
func Ready(ctx context.Context, s Services, namespace string) error {
	found, err := s.WorkflowService().DescribeNamespace(ctx,
		&workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	switch {
	case isNotFound(err):
		return fmt.Errorf("%w: namespace %s does not exist; run `%s`", ErrNotSetUp, namespace, program.Command("setup"))
	case isDenied(err): // The API key may start workflows but not describe the namespace.
		return readyByProbe(ctx, s, namespace)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if state := found.GetNamespaceInfo().GetState(); state != enumspb.NAMESPACE_STATE_REGISTERED {
		return fmt.Errorf("%w: namespace %s is %s; configure another one by TEMPORAL_NAMESPACE", ErrNotSetUp, namespace, state)
	}
	have, err := listAttributes(ctx, s, namespace)
	switch {
	case isDenied(err):
		return readyByProbe(ctx, s, namespace)
	case isNotFound(err):
		return fmt.Errorf("%w: namespace %s is not known to all of Temporal yet; wait a moment", ErrNotSetUp, namespace)
	case err != nil:
		return fmt.Errorf("%w: list the search attributes of namespace %s: %w", ErrUnreachable, namespace, err)
	}
	missing, wrong := compareAttributes(have)
	missing, wrong = slices.DeleteFunc(missing, isOptional), slices.DeleteFunc(wrong, isOptional)
	for _, name := range wrong {
		return fmt.Errorf("%w: %s", ErrNotSetUp, wrongType(namespace, name, have[name]))
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: namespace %s lacks the search attributes %s; run `%s`", ErrNotSetUp, namespace,
			strings.Join(missing, ", "), program.Command("setup"))
	}
	return nil
}

// answerWithin is how long Answers waits for Temporal.
const answerWithin = 5 * time.Second

// Answers checks whether Temporal answers within five seconds. The error wraps ErrUnreachable. A
// refusal is an answer too, so it is no error here; the next call will get it.
func Answers(ctx context.Context, s Services) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := s.WorkflowService().GetSystemInfo(ctx, &workflowservice.GetSystemInfoRequest{})
	var (
		unavailable *serviceerror.Unavailable
		late        *serviceerror.DeadlineExceeded
	)
	if err != nil && (errors.As(err, &unavailable) || errors.As(err, &late) || ctx.Err() != nil || isOtherServer(err)) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return nil
}

func readyByProbe(ctx context.Context, s Services, namespace string) error {
	err := probeAttributes(ctx, s, namespace)
	switch {
	case err == nil:
		return nil
	case isInvalid(err) || isNotFound(err):
		return fmt.Errorf("%w: %w; run `%s`", ErrNotSetUp, err, program.Command("setup"))
	default:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
}

// probeAttributes counts workflows by a query that names the search attributes and matches nothing.
// Temporal refuses the query as invalid as long as it does not know one of them.
func probeAttributes(ctx context.Context, s Services, namespace string) error {
	_, err := s.WorkflowService().CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: namespace,
		Query: event.AttributeSource + " = '-' AND " + event.AttributeType + " = '-' AND " +
			event.AttributeSubject + " = '-' AND " + event.AttributeTime + " = '1970-01-01T00:00:00Z'",
	})
	return err
}

func listAttributes(ctx context.Context, s Services, namespace string) (map[string]enumspb.IndexedValueType, error) {
	listed, err := s.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	return listed.GetCustomAttributes(), err
}

// StepOutcome is what became of one step of Setup.
type StepOutcome string

// The outcomes of a step.
const (
	// Made: the subject was absent and is there now.
	Made StepOutcome = "made"
	// Changed: it had another value and has the wanted one now.
	Changed StepOutcome = "changed"
	// Already: it was as wanted; nothing was done.
	Already StepOutcome = "already so"
	// Kept: it differs and was left alone on purpose; Detail says why.
	Kept StepOutcome = "kept"
	// Denied: we lack the permission; Detail says how somebody else can do it.
	Denied StepOutcome = "not permitted"
	// Failed: it could not be done; Detail says what to do.
	Failed StepOutcome = "failed"
)

// Step is one thing that Setup checked or changed.
type Step struct {
	// Subject names the thing, for example `namespace default`.
	Subject string
	// Outcome is what became of it.
	Outcome StepOutcome
	// Detail is a sentence for people; it may be empty.
	Detail string
}

// String returns the step as one line.
func (s Step) String() string {
	if s.Detail == "" {
		return fmt.Sprintf("%s: %s", s.Subject, s.Outcome)
	}
	return fmt.Sprintf("%s: %s. %s", s.Subject, s.Outcome, s.Detail)
}

// Report tells what Setup did, step by step, in order.
type Report struct {
	// Namespace is the one that was set up.
	Namespace string `json:"Namespace"`
	// Steps are in the order in which they were done.
	Steps []Step
}

// Complete tells whether no step was denied or failed.
func (r Report) Complete() bool {
	for _, s := range r.Steps {
		if s.Outcome == Denied || s.Outcome == Failed {
			return false
		}
	}
	return true
}

// String returns one line per step.
func (r Report) String() string {
	lines := make([]string, len(r.Steps))
	for i, s := range r.Steps {
		lines[i] = s.String()
	}
	return strings.Join(lines, "\n")
}

func (r *Report) add(subject string, o StepOutcome, detail string) {
	r.Steps = append(r.Steps, Step{Subject: subject, Outcome: o, Detail: detail})
}

// Workers counts the processes that polled a task queue for workflow tasks in the last five
// minutes.
func Workers(ctx context.Context, s Services, namespace, queue string) (int, error) {
	return Pollers(ctx, s, namespace, queue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
}

// Pollers counts the processes that polled a task queue for one type of task in the last five
// minutes.
func Pollers(ctx context.Context, s Services, namespace, queue string, of enumspb.TaskQueueType) (int, error) {
	found, err := s.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
		Namespace: namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: queue}, TaskQueueType: of,
	})
	if err != nil {
		return 0, fmt.Errorf("ask who polls task queue %s: %w", queue, err)
	}
	workers := map[string]bool{}
	for _, p := range found.GetPollers() {
		workers[p.GetIdentity()] = true
	}
	return len(workers), nil
}
