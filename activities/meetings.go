package activities

import (
	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/meeting"
)

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
