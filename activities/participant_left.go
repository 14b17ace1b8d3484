package activities

import (
	"context"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/meeting"
)

// ParticipantLeft is the body of Zoom's meeting.participant_left.
type ParticipantLeft = Zoom[struct {
	ZoomMeeting
	Participant ZoomPerson `json:"participant"`
}]

// ParticipantLeft notes in a meeting's ledger who went.
func (a *Activities) ParticipantLeft(ctx context.Context, e handler.Event[ParticipantLeft]) error {
	m := e.Payload.Payload.Object
	f, err := newFact(e, m.ZoomMeeting, meeting.Left, m.Participant.LeaveTime)
	if err != nil {
		return err
	}
	f.Person = m.Participant.person()
	return a.tell(ctx, f)
}
