package activities

import (
	"context"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/meeting"
)

// MeetingStarted is the body of Zoom's meeting.started.
type MeetingStarted = Zoom[ZoomMeeting]

// MeetingStarted notes the beginning of a meeting in its ledger.
func (a *Activities) MeetingStarted(ctx context.Context, e handler.Event[MeetingStarted]) error {
	m := e.Payload.Payload.Object
	f, err := newFact(e, m, meeting.Started, m.StartTime)
	if err != nil {
		return err
	}
	return a.tell(ctx, f)
}
