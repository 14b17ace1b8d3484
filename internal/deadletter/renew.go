package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/event"
)

// Schedule is the ID of the schedule that renews dead letters.
const Schedule = "grapnel-renew-dead-letters"

// A letter is renewed when half of retention is over. The schedule runs eight times per retention,
// so that it may fail several times in a row and still come in time.
const (
	renewalsPerRetention = 2
	runsPerRetention     = 8
	shortestInterval     = time.Minute
	longestInterval      = 24 * time.Hour
)

// KeepRenewing makes or updates the schedule that renews dead letters before retention ends them,
// until keep after their first failure; 0 means for ever. Every worker may call it.
func (s *Store) KeepRenewing(ctx context.Context, keep time.Duration) error {
	r, err := s.temporal.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.namespace})
	if err != nil {
		return fmt.Errorf("look up the retention of namespace %s: %w", s.namespace, err)
	}
	retention := r.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{
		{Every: min(max(retention/runsPerRetention, shortestInterval), longestInterval)},
	}}
	action := &client.ScheduleWorkflowAction{
		ID: "operation-renew", Workflow: event.WorkflowOperation, TaskQueue: s.taskQueue,
		Args: []any{s.renewal(keep, retention/renewalsPerRetention)},
	}
	_, err = s.temporal.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: Schedule, Spec: spec, Action: action, Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: retention / runsPerRetention,
		Note: "Renews dead letters that retention would end.",
	})
	if err == nil {
		return nil
	}
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return fmt.Errorf("make the schedule that renews dead letters: %w", err)
	}
	err = s.temporal.ScheduleClient().GetHandle(ctx, Schedule).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			now := in.Description.Schedule
			now.Spec, now.Action = &spec, action
			return &client.ScheduleUpdate{Schedule: &now}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("change the schedule that renews dead letters: %w", err)
	}
	return nil
}

// renewal is the operation that the schedule starts.
func (s *Store) renewal(keep, within time.Duration) event.Operation {
	return event.Operation{
		Action: event.ActionRenew, Rate: 2 * event.DefaultRate, Share: 1, Keep: keep, Within: within,
		Deed: event.Deed{Actor: "grapnel", Reason: "retention would end them"},
	}
}
