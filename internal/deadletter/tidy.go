package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/api/workflowservice/v1"
)

// Tidy removes runs that Temporal lists as dead letters although their events have a later run, and
// returns how many. Such runs are left over if Temporal is killed while a replay removes them. They
// do no harm, but would be listed and counted until retention ends them.
func (s *Store) Tidy(ctx context.Context, alive func()) (removed int, err error) {
	var token []byte
	for {
		r, err := s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: s.namespace, Query: Query, PageSize: pageSize, NextPageToken: token,
		})
		if err != nil {
			return removed, fmt.Errorf("list the dead letters: %w", err)
		}
		var page []Summary
		for _, info := range r.GetExecutions() {
			page = append(page, summaryOf(info))
		}
		dead, err := s.alive(ctx, slices.Clone(page))
		if err != nil {
			return removed, err
		}
		runs := map[string]bool{}
		for _, l := range dead {
			runs[l.Run] = true
		}
		for _, l := range page {
			if runs[l.Run] {
				continue
			}
			alive()
			info, err := s.describe(ctx, l.ID, "")
			if errors.Is(err, ErrGone) || err == nil && info.GetExecution().GetRunId() == l.Run {
				continue
			}
			if err == nil {
				err = s.DeleteRun(ctx, l.ID, l.Run)
			}
			if err != nil {
				return removed, err
			}
			removed++
		}
		if token = r.GetNextPageToken(); len(token) == 0 {
			return removed, nil
		}
	}
}
