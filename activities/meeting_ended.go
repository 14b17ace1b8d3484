package activities

import (
	"context"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/meeting"
)

// MeetingEnded is the body of Zoom's meeting.ended.
type MeetingEnded = Zoom[struct {
	ZoomMeeting
	EndTime ZoomTime `json:"end_time"`
}]

// MeetingEnded notes the end of a meeting in its ledger, which closes soon after.
func (a *Activities) MeetingEnded(ctx context.Context, e handler.Event[MeetingEnded]) error {
	m := e.Payload.Payload.Object
	f, err := newFact(e, m.ZoomMeeting, meeting.Ended, m.EndTime)
	if err != nil {
		return err
	}
	f.Began = m.StartTime.Time
	return a.tell(ctx, f)
}
