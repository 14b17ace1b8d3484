package deadletter

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
)

// idLength is the length of an event ID, shortest that of a beginning that is
// looked up.
const (
	idLength = 64
	shortest = 6
)

// Resolve gives the event ID that begins with a text, as lists show it.
func (s *Store) Resolve(ctx context.Context, id string) (string, error) {
	if len(id) >= idLength || len(id) < shortest {
		return id, nil
	}
	r, err := s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.namespace, PageSize: 20,
		Query: `WorkflowId STARTS_WITH ` + quote(id) + ` AND WorkflowType IN ("DeadLetter", "Discarded")`,
	})
	if err != nil {
		return "", fmt.Errorf("look up %s: %w", id, err)
	}
	found := map[string]bool{}
	for _, info := range r.GetExecutions() {
		found[info.GetExecution().GetWorkflowId()] = true
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w: none begins with %s", ErrGone, id)
	case 1:
		for whole := range found {
			id = whole
		}
		return id, nil
	default:
		return "", fmt.Errorf("several dead letters begin with %s; write more of the ID", id)
	}
}
