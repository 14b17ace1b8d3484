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

// tell sends a fact to the workflow of its meeting, and starts that workflow if it does not run.
// Telling a fact twice does no harm.
func (a *Activities) tell(ctx context.Context, f meeting.Fact) error {
	id := meeting.WorkflowID(f.About.ID)
	// For nearly all facts the meeting's workflow runs already: then one call is enough.
	if err := a.Temporal.SignalWorkflow(ctx, id, "", meeting.Signal, f); err == nil || !notFound(err) {
		return whatFailed(f, err)
	}
	previous, err := a.latestRun(ctx, id)
	if err != nil {
		return err
	}
	// Options and argument count only if a run is started. A run that ended meanwhile is then the
	// latest one before the new run. There is no time for yet another run to begin and end within
	// this attempt.
	_, err = a.Temporal.SignalWithStartWorkflow(ctx, id, meeting.Signal, f, client.StartWorkflowOptions{
		TaskQueue:     a.TaskQueue,
		StaticSummary: event.Clean(f.About.Topic, maxSummary),
	}, meeting.Workflow, meeting.Start{Previous: previous})
	return whatFailed(f, err)
}

// whatFailed adds to an error which fact could not be sent.
func whatFailed(f meeting.Fact, err error) error {
	if err != nil {
		return fmt.Errorf("telling meeting %s that it %s: %w", f.About.ID, f.Kind, err)
	}
	return nil
}

// maxSummary is the most characters of a workflow's summary. Temporal takes at most 400 bytes.
const maxSummary = 100

// latestRun gives the ID of a workflow's latest run, whether it runs or not; empty if there is
// none.
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

// LastLedger gives the ledger with which a run of Meeting ended. It is empty if Temporal no
// longer keeps the run, or if the run was terminated and so has none.
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

// Meetings is the name of the worked example, which keeps a ledger of every Zoom meeting, each in
// a workflow of its own.
const Meetings = meeting.Example

// MeetingHandlers gives the handlers of the worked example.
func (a *Activities) MeetingHandlers() *handler.Table {
	t := &handler.Table{}

	handler.On(t, "zoom", "meeting.started", a.MeetingStarted)
	handler.On(t, "zoom", "meeting.ended", a.MeetingEnded)
	handler.On(t, "zoom", "meeting.participant_joined", a.ParticipantJoined)
	handler.On(t, "zoom", "meeting.participant_left", a.ParticipantLeft)
	handler.On(t, "zoom", "recording.completed", a.RecordingCompleted)

	// Earlier names of Zoom's events.
	handler.On(t, "zoom", "meeting_started", a.MeetingStarted)
	handler.On(t, "zoom", "meeting_ended", a.MeetingEnded)
	handler.On(t, "zoom", "participant_joined", a.ParticipantJoined)
	handler.On(t, "zoom", "participant_left", a.ParticipantLeft)
	handler.On(t, "zoom", "recording_completed", a.RecordingCompleted)

	return t
}
