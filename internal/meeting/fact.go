package meeting

import (
	"cmp"
	"time"

	"github.com/grapnel/grapnel/internal/event"
)

// Kind is what a fact tells.
type Kind string

// The kinds of fact.
const (
	// Started tells that the meeting began at Fact.Time.
	Started Kind = "started"
	// Ended tells that it ended at Fact.Time.
	Ended Kind = "ended"
	// Joined tells that Fact.Person came at Fact.Time.
	Joined Kind = "joined"
	// Left tells that Fact.Person went at Fact.Time.
	Left Kind = "left"
	// Recorded tells that Fact.Recordings can be fetched.
	Recorded Kind = "recorded"
)

// Fact is what one event tells of a meeting. Its identity is the event ID: the
// same event tells the same fact however often it is told.
type Fact struct {
	// Event is the ID of the event, and so the workflow ID under which
	// Temporal shows it.
	Event string `json:"event"`
	Kind  Kind   `json:"kind"`
	// Time is when it happened, by the sender's clock.
	Time time.Time `json:"time"`
	// About is what the event says of the meeting as a whole.
	About About `json:"about,omitzero"`
	// Began is when the meeting began, where an Ended fact tells that too.
	Began time.Time `json:"began,omitzero"`
	// Person is who joined or left.
	Person Person `json:"person,omitzero"`
	// Recordings are the files of a Recorded fact.
	Recordings []Recording `json:"recordings,omitempty"`
}

// About is what most events say of the meeting as a whole.
type About struct {
	// ID is the meeting instance: its UUID, or its number where there is none.
	ID string `json:"id,omitempty"`
	// Number is what people type to join; instances of a series share it.
	Number string `json:"number,omitempty"`
	Topic  string `json:"topic,omitempty"`
	// Host is the sender's ID of the host.
	Host string `json:"host,omitempty"`
}

// Person is someone who joined or left.
type Person struct {
	// Key tells people apart over their visits.
	Key  string `json:"key,omitempty"`
	Name string `json:"name,omitempty"`
}

// Recording is one file of a recording.
type Recording struct {
	// Type is what it shows: "shared_screen_with_speaker_view", "MP4".
	Type string `json:"type,omitempty"`
	URL  string `json:"url,omitempty"`
	// Bytes is its size.
	Bytes int64 `json:"bytes,omitempty"`
}

// Limits of what one fact may weigh, in characters.
const (
	maxName = 100
	maxURL  = 500
	// maxFiles is the number of files kept of one recording.
	maxFiles = 30
)

// bounded cuts a fact to the size that the ledger's own limits rely on, and
// leaves out what its kind does not need.
func (f Fact) bounded() Fact {
	b := Fact{Event: event.Clean(f.Event, maxName), Kind: f.Kind, Time: f.Time.UTC()}
	switch f.Kind {
	case Ended:
		if !f.Began.IsZero() {
			b.Began = f.Began.UTC()
		}
	case Joined:
		b.Person = Person{Key: event.Clean(f.Person.Key, maxName), Name: event.Clean(f.Person.Name, maxName)}
	case Left:
		b.Person = Person{Key: event.Clean(f.Person.Key, maxName)}
	case Recorded:
		for _, r := range f.Recordings[:min(len(f.Recordings), maxFiles)] {
			b.Recordings = append(b.Recordings, r.bounded())
		}
	case Started:
	}
	return b
}

// bounded leaves out an address that is too long: cut, it would lead nowhere.
func (r Recording) bounded() Recording {
	if len(r.URL) > maxURL {
		r.URL = ""
	}
	return Recording{Type: event.Clean(r.Type, maxName), URL: event.Clean(r.URL, maxURL), Bytes: r.Bytes}
}

func (a About) bounded() About {
	return About{
		ID:     event.Clean(a.ID, maxID),
		Number: event.Clean(a.Number, maxName),
		Topic:  event.Clean(a.Topic, maxID),
		Host:   event.Clean(a.Host, maxName),
	}
}

// compareFacts orders facts by kind, time and event. Two that compare equal are one.
func compareFacts(a, b Fact) int {
	return cmp.Or(
		cmp.Compare(a.Kind, b.Kind),
		a.Time.Compare(b.Time),
		cmp.Compare(a.Event, b.Event),
	)
}
