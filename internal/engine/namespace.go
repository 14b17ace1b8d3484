package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// namespace makes the namespace or completes it; false means that it is not
// there and the other steps have nothing to stand on.
func (r *setupRun) namespace(ctx context.Context) (bool, error) {
	found, err := r.describe(ctx)
	switch {
	case err == nil:
		r.report.add(r.subject(), Already, "")
		return true, r.retention(ctx, found.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
	case isNotFound(err):
		return r.register(ctx)
	case isDenied(err):
		r.report.add(r.subject(), Denied, "It cannot be looked at: "+err.Error()+". "+r.howToMakeNamespace())
		return false, nil
	default:
		return false, fmt.Errorf("look up namespace %s: %w", r.options.Namespace, err)
	}
}

func (r *setupRun) subject() string { return "namespace " + r.options.Namespace }

func (r *setupRun) describe(ctx context.Context) (found *workflowservice.DescribeNamespaceResponse, err error) {
	err = r.retry(ctx, "it answers", func(ctx context.Context) error {
		found, err = r.services.WorkflowService().DescribeNamespace(ctx,
			&workflowservice.DescribeNamespaceRequest{Namespace: r.options.Namespace})
		return err
	})
	return found, err
}

func (r *setupRun) register(ctx context.Context) (bool, error) {
	err := r.retry(ctx, "the namespace is made", func(ctx context.Context) error {
		_, err := r.services.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace:                        r.options.Namespace,
			Description:                      "Webhook events, handled by grapnel.",
			WorkflowExecutionRetentionPeriod: durationpb.New(r.options.Retention),
		})
		return err
	})
	var exists *serviceerror.NamespaceAlreadyExists
	switch {
	case err == nil:
		r.report.add(r.subject(), Made, "Closed workflows are kept for "+hours(r.options.Retention)+".")
		return true, nil
	case errors.As(err, &exists): // Another setup was faster.
		found, err := r.describe(ctx)
		if err != nil {
			return false, fmt.Errorf("look up namespace %s: %w", r.options.Namespace, err)
		}
		r.report.add(r.subject(), Already, "")
		return true, r.retention(ctx, found.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
	case isDenied(err):
		r.report.add(r.subject(), Denied, r.howToMakeNamespace())
		return false, nil
	case isInvalid(err):
		r.report.add(r.subject(), Failed, fmt.Sprintf("Temporal refuses it with a retention of %s: %v. A day is the least that every cluster takes.", hours(r.options.Retention), err))
		return false, nil
	default:
		return false, fmt.Errorf("make namespace %s: %w", r.options.Namespace, err)
	}
}

// retention brings an existing namespace to the wanted retention. A step that
// is not permitted does not stop the others: events are handled without it.
func (r *setupRun) retention(ctx context.Context, have time.Duration) error {
	subject, want := "retention", r.options.Retention
	switch {
	case have == want:
		r.report.add(subject, Already, hours(want)+".")
		return nil
	case have > want && !r.options.AllowShorter:
		r.report.add(subject, Kept, fmt.Sprintf("It is %s and longer than the %s configured; cutting it would delete older workflows.", hours(have), hours(want)))
		return nil
	}
	err := r.retry(ctx, "the retention is set", func(ctx context.Context) error {
		_, err := r.services.WorkflowService().UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{
			Namespace: r.options.Namespace,
			Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(want)},
		})
		return err
	})
	switch {
	case err == nil:
		r.report.add(subject, Changed, fmt.Sprintf("It was %s and is %s.", hours(have), hours(want)))
	case isDenied(err):
		r.report.add(subject, Denied, fmt.Sprintf("It is %s and should be %s. %s", hours(have), hours(want), r.howToSetRetention()))
	case isInvalid(err):
		r.report.add(subject, Failed, fmt.Sprintf("Temporal refuses %s: %v. A day is the least that every cluster takes.", hours(want), err))
	default:
		return fmt.Errorf("set the retention of namespace %s: %w", r.options.Namespace, err)
	}
	return nil
}

// hours writes a duration the way retention is configured, without the
// minutes and seconds that are zero.
func hours(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", int(d/time.Hour))
	}
	return d.String()
}
