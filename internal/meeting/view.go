package meeting

import (
	"slices"
	"time"
)

// State is how far a meeting has come.
type State string

// The states of a meeting.
const (
	// Open is a meeting whose end is not known.
	Open State = "open"
	// Over is a meeting that has ended.
	Over State = "over"
	// Abandoned is a meeting whose end was waited for in vain.
	Abandoned State = "abandoned"
)

// View is a ledger as people and programs read it. All of it is derived.
type View struct {
	About
	State State `json:"state"`
	// Started and Ended are zero while unknown.
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Duration is the time between the two, as Go writes it ("47m10s"); empty
	// until both are known.
	Duration string `json:"duration,omitempty"`
	// People is the number of different people who joined.
	People int `json:"people"`
	// Estimated is set when there were too many people to count exactly.
	Estimated bool `json:"peopleEstimated,omitempty"`
	// Attendance lists them by their first visit, the first 500 visits.
	Attendance []Attendee `json:"attendance,omitempty"`
	// Recordings are the files to be had.
	Recordings []Recording `json:"recordings,omitempty"`
}

// Attendee is one person's attendance.
type Attendee struct {
	Person
	// Joined are the times of joining, the earliest first.
	Joined []time.Time `json:"joined"`
	// Left is the last time of leaving; zero when none is known, or when the
	// person has joined again since.
	Left time.Time `json:"left,omitzero"`
}

// View derives what there is to show.
func (l *Ledger) View() View {
	v := View{About: l.About.About, State: l.state(), Attendance: l.attendance()}
	n, exact := l.People.Count()
	v.People, v.Estimated = n, !exact
	if started := l.of(Started); len(started) > 0 {
		v.Started = started[0].Time
	}
	if ended := l.of(Ended); len(ended) > 0 {
		v.Ended = ended[len(ended)-1].Time
		// The end also tells the beginning, should that event be lost.
		if v.Started.IsZero() {
			v.Started = ended[0].Began
		}
	}
	if !v.Started.IsZero() && l.Over() && !v.Ended.Before(v.Started) {
		v.Duration = v.Ended.Sub(v.Started).String()
	}
	v.Recordings = l.recordings()
	return v
}

func (l *Ledger) state() State {
	switch {
	case l.Over():
		return Over
	case l.Abandoned:
		return Abandoned
	default:
		return Open
	}
}

// attendance puts the visits of each person together.
func (l *Ledger) attendance() []Attendee {
	var all []Attendee
	place := map[string]int{}
	for _, f := range l.of(Joined) {
		at, known := place[f.Person.Key]
		if !known {
			at = len(all)
			place[f.Person.Key] = at
			all = append(all, Attendee{Person: f.Person})
		}
		all[at].Joined = append(all[at].Joined, f.Time)
	}
	for _, f := range l.of(Left) {
		at, known := place[f.Person.Key]
		if known && !f.Time.Before(all[at].Joined[len(all[at].Joined)-1]) {
			all[at].Left = f.Time
		}
	}
	return all
}

// recordings lists each file once: a sender tells of a recording again when
// another of its files is ready.
func (l *Ledger) recordings() []Recording {
	var all []Recording
	for _, f := range l.of(Recorded) {
		for _, r := range f.Recordings {
			if !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	return all
}
