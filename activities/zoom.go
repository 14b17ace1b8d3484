package activities

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/meeting"
)

// Zoom is the envelope of Zoom's events, after Zoom's Meetings webhook reference
// (developers.zoom.us/docs/api/meetings/events). It has only the fields that the handlers read.
type Zoom[T any] struct {
	Event string `json:"event"`
	// EventTS is when the event happened, in milliseconds since 1970.
	EventTS int64 `json:"event_ts"`
	Payload struct {
		AccountID string `json:"account_id"`
		Object    T      `json:"object"`
	} `json:"payload"`
}

// ZoomMeeting is what the object of every meeting event holds. Zoom's duration is left out,
// because it is the scheduled one.
type ZoomMeeting struct {
	// UUID identifies one instance of the meeting, in base64.
	UUID ZoomText `json:"uuid"`
	// ID is the meeting number, which all instances of a series share.
	ID        ZoomText `json:"id"`
	HostID    ZoomText `json:"host_id"`
	Topic     string   `json:"topic"`
	StartTime ZoomTime `json:"start_time"`
	Timezone  string   `json:"timezone"`
}

// ZoomPerson is the participant of an event.
type ZoomPerson struct {
	// UserID identifies the participant within the meeting; it is another one for each visit.
	UserID   ZoomText `json:"user_id"`
	UserName string   `json:"user_name"`
	// ID identifies the Zoom user; empty for guests.
	ID        ZoomText `json:"id"`
	Email     string   `json:"email"`
	JoinTime  ZoomTime `json:"join_time"`
	LeaveTime ZoomTime `json:"leave_time"`
}

// ZoomText is a text that Zoom sends as a number in some events.
type ZoomText string

// UnmarshalJSON reads a string, a number as it is written, or null.
func (t *ZoomText) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9') {
		*t = ZoomText(b)
		return nil
	}
	return json.Unmarshal(b, (*string)(t))
}

// ZoomTime is a time in RFC 3339; Zoom leaves some empty.
type ZoomTime struct{ time.Time }

// UnmarshalJSON reads a time; an empty string or null is the zero time.
func (t *ZoomTime) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte(`""`)) || bytes.Equal(b, []byte(`null`)) {
		t.Time = time.Time{}
		return nil
	}
	err := t.Time.UnmarshalJSON(b)
	t.Time = t.UTC()
	// The year may be one that JSON can't write, which was not so in the time's own zone.
	if y := t.Year(); err == nil && (y < 0 || y > 9999) {
		err = errors.New("its year does not have four digits")
	}
	if err != nil {
		return fmt.Errorf("%s is no time: %w", b, err)
	}
	return nil
}

// newFact begins a fact: which event tells it, about which meeting, and when it happened. The
// time is the first of those given that is set, else the event's own.
func newFact[T any](e handler.Event[Zoom[T]], m ZoomMeeting, k meeting.Kind, at ...ZoomTime) (meeting.Fact, error) {
	f := meeting.Fact{
		Event: e.ID,
		Kind:  k,
		Time:  timeOfFact(e, at),
		About: meeting.About{
			ID:     string(cmp.Or(m.UUID, m.ID)),
			Number: string(m.ID),
			Topic:  m.Topic,
			Host:   string(m.HostID),
		},
	}
	if f.About.ID == "" {
		return f, handler.Permanent(errors.New("the event names no meeting: payload.object has neither uuid nor id"))
	}
	return f, nil
}

// latestZoomTime is the last moment whose year JSON can write, in milliseconds since 1970.
const latestZoomTime = 253402300799999

func timeOfFact[T any](e handler.Event[Zoom[T]], at []ZoomTime) time.Time {
	for _, t := range at {
		if !t.IsZero() {
			return t.Time
		}
	}
	switch {
	case e.Payload.EventTS > 0 && e.Payload.EventTS <= latestZoomTime:
		return time.UnixMilli(e.Payload.EventTS).UTC()
	case !e.Time.IsZero():
		return e.Time.UTC()
	default:
		return e.Received.UTC()
	}
}

// person identifies a participant. Guests have no Zoom user: they are identified by their email
// address, else by the name they gave, else by their visit.
func (p ZoomPerson) person() meeting.Person {
	return meeting.Person{
		Key:  cmp.Or(string(p.ID), p.Email, p.UserName, string(p.UserID), "unknown"),
		Name: cmp.Or(p.UserName, p.Email, string(p.ID), string(p.UserID)),
	}
}
