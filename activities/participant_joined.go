package activities

import (
	"context"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/meeting"
)

// ParticipantJoined is the body of Zoom's meeting.participant_joined.
type ParticipantJoined = Zoom[struct {
	ZoomMeeting
	Participant ZoomPerson `json:"participant"`
}]

// ParticipantJoined notes in a meeting's ledger who came.
func (a *Activities) ParticipantJoined(ctx context.Context, e handler.Event[ParticipantJoined]) error {
	m := e.Payload.Payload.Object
	f, err := newFact(e, m.ZoomMeeting, meeting.Joined, m.Participant.JoinTime)
	if err != nil {
		return err
	}
	f.Person = m.Participant.person()
	return a.tell(ctx, f)
}
