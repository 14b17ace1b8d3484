package sweep

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/event"
)

// Schedules are sweeps that run at intervals. They are Temporal schedules, so they outlive every
// process.
type Schedules struct {
	Temporal client.Client
	// TaskQueue is the task queue on which the sweeps run.
	TaskQueue string
}

// scheduleIDPrefix is the prefix of the schedules' IDs.
const scheduleIDPrefix = "grapnel-sweep-"

// Scheduled is a sweep with its schedule.
type Scheduled struct {
	event.Sweep

	Every  time.Duration `json:"every"`
	Paused bool          `json:"paused,omitempty"`
	Next   time.Time     `json:"next,omitzero"`
	// Last is when it last ran, Result what that run did, and Fault why it failed.
	Last   time.Time   `json:"last,omitzero"`
	Result event.Swept `json:"result"`
	Fault  string      `json:"fault,omitempty"`
}

// shortestInterval is the shortest interval of a sweep. Each run lists all failed deliveries, so
// more often would burden the sender.
const shortestInterval = time.Minute

// namePattern matches the names that a sweep may have.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Keep schedules a sweep at an interval of a minute or more. A new one runs at once too. If a sweep
// of this name is scheduled already, it is replaced, and changed is set.
func (s Schedules) Keep(ctx context.Context, sweep event.Sweep, every time.Duration) (changed bool, err error) {
	switch {
	case !namePattern.MatchString(sweep.Name):
		return false, fmt.Errorf("the name %q: it may hold letters, digits, dots, dashes and underscores, 100 at most", sweep.Name)
	case every < shortestInterval:
		return false, fmt.Errorf("every %s is too often; it has to be a minute or more", every)
	}
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}}
	action := &client.ScheduleWorkflowAction{
		ID: "sweep-" + sweep.Name, Workflow: event.WorkflowSweep, TaskQueue: s.TaskQueue, Args: []any{sweep},
		StaticSummary: event.Clean("sweep "+sweep.Name, 200),
	}
	_, err = s.Temporal.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: scheduleIDPrefix + sweep.Name, Spec: spec, Action: action, Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: every, TriggerImmediately: true, Note: "Asks a sender again for events that it could not deliver.",
	})
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return false, fmt.Errorf("make the schedule of sweep %s: %w", sweep.Name, err)
	}
	err = s.Temporal.ScheduleClient().GetHandle(ctx, scheduleIDPrefix+sweep.Name).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			now := in.Description.Schedule
			now.Spec, now.Action = &spec, action
			return &client.ScheduleUpdate{Schedule: &now}, nil
		},
	})
	if err != nil {
		return true, fmt.Errorf("change the schedule of sweep %s: %w", sweep.Name, err)
	}
	return true, nil
}

// ErrNone says that no sweep of this name is scheduled.
var ErrNone = errors.New("there is no such sweep")

// Remove deletes the schedule of a sweep. A run under way goes on. The error wraps ErrNone if there
// is no such schedule.
func (s Schedules) Remove(ctx context.Context, name string) error {
	err := s.Temporal.ScheduleClient().GetHandle(ctx, scheduleIDPrefix+name).Delete(ctx)
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		return fmt.Errorf("%w: %s", ErrNone, name)
	}
	if err != nil {
		return fmt.Errorf("remove the schedule of sweep %s: %w", name, err)
	}
	return nil
}

// List returns the scheduled sweeps, sorted by name.
func (s Schedules) List(ctx context.Context) ([]Scheduled, error) {
	all := []Scheduled{}
	listed, err := s.Temporal.ScheduleClient().List(ctx, client.ScheduleListOptions{PageSize: 100})
	for err == nil && listed.HasNext() {
		var entry *client.ScheduleListEntry
		if entry, err = listed.Next(); err != nil || !strings.HasPrefix(entry.ID, scheduleIDPrefix) {
			continue
		}
		var one Scheduled
		one, err = s.Get(ctx, strings.TrimPrefix(entry.ID, scheduleIDPrefix))
		if errors.Is(err, ErrNone) { // The list is late: the schedule was removed meanwhile.
			err = nil
			continue
		}
		all = append(all, one)
	}
	if err != nil {
		return nil, fmt.Errorf("list the sweeps: %w", err)
	}
	slices.SortFunc(all, func(a, b Scheduled) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Get looks a scheduled sweep up. The error wraps ErrNone if there is none of this name.
func (s Schedules) Get(ctx context.Context, name string) (Scheduled, error) {
	d, err := s.Temporal.ScheduleClient().GetHandle(ctx, scheduleIDPrefix+name).Describe(ctx)
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		return Scheduled{}, fmt.Errorf("%w: %s", ErrNone, name)
	}
	if err != nil {
		return Scheduled{}, fmt.Errorf("look up sweep %s: %w", name, err)
	}
	one := Scheduled{Paused: d.Schedule.State.Paused}
	if a, ok := d.Schedule.Action.(*client.ScheduleWorkflowAction); ok {
		one.Sweep = sweepOf(a)
	}
	one.Name = name
	if spec := d.Schedule.Spec; spec != nil && len(spec.Intervals) > 0 {
		one.Every = spec.Intervals[0].Every
	}
	if len(d.Info.NextActionTimes) > 0 {
		one.Next = d.Info.NextActionTimes[0]
	}
	if n := len(d.Info.RecentActions); n > 0 {
		last := d.Info.RecentActions[n-1]
		one.Last = last.ActualTime
		s.readResult(ctx, &one, last.StartWorkflowResult)
	}
	return one, nil
}

// sweepOf is the sweep that a schedule starts.
func sweepOf(a *client.ScheduleWorkflowAction) (sweep event.Sweep) {
	if len(a.Args) == 0 {
		return sweep
	}
	if p, ok := a.Args[0].(*commonpb.Payload); ok {
		dc := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), engine.NewCodec(0))
		_ = dc.FromPayload(p, &sweep) // An argument that does not decode was not written by us.
	}
	return sweep
}

// askTime is how long Get waits for the result of a run that may be under way.
const askTime = time.Second

// readResult fills in the result of the last run, or why there is none.
func (s Schedules) readResult(ctx context.Context, one *Scheduled, run *client.ScheduleWorkflowExecution) {
	if run == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	err := s.Temporal.GetWorkflow(ctx, run.WorkflowID, run.FirstExecutionRunID).Get(ctx, &one.Result)
	_, gone := errors.AsType[*serviceerror.NotFound](err)
	switch app, ok := errors.AsType[*temporal.ApplicationError](err); {
	case err == nil, gone:
	case ctx.Err() != nil:
		one.Fault = "it is under way"
	case ok:
		one.Fault = app.Message()
	default:
		one.Fault = err.Error()
	}
}
