package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/grapnel/grapnel/internal/event"
)

// The two ways of not being ready. Both are wrapped in a sentence that says
// what to do.
var (
	// ErrUnreachable: Temporal does not answer, or not for us.
	ErrUnreachable = errors.New("cannot reach Temporal")
	// ErrNotSetUp: it answers, but the namespace or a search attribute is
	// missing or of the wrong type.
	ErrNotSetUp = errors.New("this Temporal is not set up for grapnel")
)

// Ready tells whether events can be started in the namespace now: it answers,
// the namespace is registered and the search attributes are there. It tries
// once and lasts as long as ctx lets it.
func Ready(ctx context.Context, s Services, namespace string) error {
	found, err := s.WorkflowService().DescribeNamespace(ctx,
		&workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	switch {
	case isNotFound(err):
		return fmt.Errorf("%w: namespace %s does not exist; run `grapnel setup`", ErrNotSetUp, namespace)
	case isDenied(err): // A key may start workflows and yet not describe.
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
	missing, wrong := compare(have)
	if len(missing) > 0 {
		return fmt.Errorf("%w: namespace %s lacks the search attributes %s; run `grapnel setup`", ErrNotSetUp, namespace, strings.Join(missing, ", "))
	}
	for _, name := range wrong {
		return fmt.Errorf("%w: %s", ErrNotSetUp, wrongType(namespace, name, have[name]))
	}
	return nil
}

func readyByProbe(ctx context.Context, s Services, namespace string) error {
	err := probe(ctx, s, namespace)
	switch {
	case err == nil:
		return nil
	case isInvalid(err) || isNotFound(err):
		return fmt.Errorf("%w: %w; run `grapnel setup`", ErrNotSetUp, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
}

// probe asks for workflows that cannot exist, by all the search attributes.
// Temporal refuses the query as invalid while it does not know one of them.
func probe(ctx context.Context, s Services, namespace string) error {
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
