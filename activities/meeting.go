package activities

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/meeting"
)

// tell sends a fact to the workflow of its meeting, which it starts if it does
// not run. Telling a fact twice does no harm.
func (a *Activities) tell(ctx context.Context, f meeting.Fact) error {
	id := meeting.WorkflowID(f.About.ID)
	// Nearly all facts are of a meeting whose workflow runs: they cost one call.
	if err := a.Temporal.SignalWorkflow(ctx, id, "", meeting.Signal, f); err == nil || !notFound(err) {
		return whatFailed(f, err)
	}
	previous, err := a.latestRun(ctx, id)
	if err != nil {
		return err
	}
	// The options and the argument count only when a run is started. In between
	// a run may have ended, and is then the one before the new run. For another
	// one to have come and gone takes longer than this attempt may.
	_, err = a.Temporal.SignalWithStartWorkflow(ctx, id, meeting.Signal, f, client.StartWorkflowOptions{
		TaskQueue:     a.TaskQueue,
		StaticSummary: event.Clean(f.About.Topic, maxSummary),
	}, meeting.Workflow, meeting.Start{Previous: previous})
	return whatFailed(f, err)
}

// whatFailed says what could not be told.
func whatFailed(f meeting.Fact, err error) error {
	if err != nil {
		return fmt.Errorf("telling meeting %s that it %s: %w", f.About.ID, f.Kind, err)
	}
	return nil
}

// maxSummary is the length in characters of what people read in one line;
// Temporal takes at most 400 bytes.
const maxSummary = 100

// latestRun is the latest run of a workflow ID, running or not; empty when
// there is none.
func (a *Activities) latestRun(ctx context.Context, id string) (string, error) {
	answer, err := a.Temporal.DescribeWorkflowExecution(ctx, id, "")
	if notFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking for an earlier run of %s: %w", id, err)
	}
	return answer.GetWorkflowExecutionInfo().GetExecution().GetRunId(), nil
}

// LastLedger gives the ledger that a run of Meeting ended with. It is empty when
// the run is no longer kept, or ended without one because it was terminated.
func (a *Activities) LastLedger(ctx context.Context, run meeting.Run) (meeting.Ledger, error) {
	var ledger meeting.Ledger
	err := a.Temporal.GetWorkflow(ctx, run.WorkflowID, run.RunID).Get(ctx, &ledger)
	var ended *temporal.WorkflowExecutionError
	if notFound(err) || errors.As(err, &ended) {
		return meeting.Ledger{}, nil
	}
	if err != nil {
		return meeting.Ledger{}, fmt.Errorf("reading the ledger of run %s: %w", run.RunID, err)
	}
	return ledger, nil
}

func notFound(err error) bool {
	var missing *serviceerror.NotFound
	return errors.As(err, &missing)
}

// Meetings is the name of the worked example: it keeps a ledger of every Zoom
// meeting in a workflow of its own.
const Meetings = meeting.Example

// MeetingHandlers are the handlers of the worked example.
func (a *Activities) MeetingHandlers() *handler.Table {
	t := &handler.Table{}

	handler.On(t, "zoom", "meeting.started", a.MeetingStarted)
	handler.On(t, "zoom", "meeting.ended", a.MeetingEnded)
	handler.On(t, "zoom", "meeting.participant_joined", a.ParticipantJoined)
	handler.On(t, "zoom", "meeting.participant_left", a.ParticipantLeft)
	handler.On(t, "zoom", "recording.completed", a.RecordingCompleted)

	// The names that Zoom's events had before.
	handler.On(t, "zoom", "meeting_started", a.MeetingStarted)
	handler.On(t, "zoom", "meeting_ended", a.MeetingEnded)
	handler.On(t, "zoom", "participant_joined", a.ParticipantJoined)
	handler.On(t, "zoom", "participant_left", a.ParticipantLeft)
	handler.On(t, "zoom", "recording_completed", a.RecordingCompleted)

	return t
}
