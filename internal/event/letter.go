package event

import (
	"regexp"
	"strings"
	"time"
)

// LetterForm is the form of the dead letters written today: their runs tell in
// memo and search attributes why they are dead.
const LetterForm = 1

// Deed is who did something to a dead letter, and why.
type Deed struct {
	// Actor is a person or a program, as user@host.
	Actor string `json:"actor,omitempty"`
	// Reason is in the actor's own words.
	Reason string `json:"reason,omitempty"`
	// Operation is the ID of the operation that it was a part of.
	Operation string `json:"operation,omitempty"`
}

// Correction is a body that an operator put in the place of the sender's. It
// travels beside the original, and nobody has signed it.
type Correction struct {
	At time.Time `json:"at"`
	Deed
}

// Instead is why a run stands in the place of another run of the same letter.
type Instead struct {
	// Run is the other run; empty where there is none, as after an import.
	Run string `json:"run,omitempty"`
	// Why says what made it necessary.
	Why string `json:"why"`
}

// Discard is why a dead letter needs no handling.
type Discard struct {
	At time.Time `json:"at"`
	Deed
}

// Outline is what a list shows of a dead letter without reading its history.
type Outline struct {
	// Reason is the kind of its first failure.
	Reason string `json:"reason"`
	// Routes are those still to do; none where no route takes the event.
	Routes []string `json:"routes,omitempty"`
	// Error is the first line of its first failure's message.
	Error string `json:"error"`
	// Attempts is the largest number of attempts of a route.
	Attempts int `json:"attempts,omitempty"`
	// First and Last are when the first attempt began and the last one failed.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Received is when the receiver had the event.
	Received time.Time `json:"received,omitzero"`
	// Replays is the number of earlier replays.
	Replays int `json:"replays,omitempty"`
	// Corrected says that the body is not the sender's.
	Corrected bool `json:"corrected,omitempty"`
	// Task is the ID of the history event that ends the first workflow task, which
	// is where a reset goes to.
	Task int64 `json:"task,omitempty"`
}

// maxLine is the length in characters of the lines of an outline.
const maxLine = 300

// OutlineOf is the outline of a letter.
func OutlineOf(e Event, l Letter) Outline {
	o := Outline{Reason: l.Reason(), Received: e.Received, Replays: len(l.Replays), Corrected: l.Correction != nil}
	for i, f := range l.Failures {
		if i == 0 {
			o.Error = Clean(firstLine(f.Message), maxLine)
		}
		if f.Route != "" {
			o.Routes = append(o.Routes, f.Route)
		}
		o.Attempts = max(o.Attempts, f.Attempts)
		if o.First.IsZero() || !f.First.IsZero() && f.First.Before(o.First) {
			o.First = f.First
		}
		if f.Last.After(o.Last) {
			o.Last = f.Last
		}
	}
	return o
}

// Reason is why the event is dead, in words that many events can share: what in
// a message is a number, an ID or a quotation is left out.
func (l Letter) Reason() string {
	if len(l.Failures) == 0 {
		return ""
	}
	f := l.Failures[0]
	if f.Cause != "" {
		return Clean(f.Cause, maxReason)
	}
	return Clean(messageShape(firstLine(f.Message)), maxReason)
}

const maxReason = 120

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// Of these a message has another one for each event: quotations, UUIDs and other
// hexadecimal digits, words of letters and many digits, and long numbers.
var (
	quotations = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	uuids      = regexp.MustCompile(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`)
	hexes      = regexp.MustCompile(`\b(0x)?[0-9a-f]*[0-9][0-9a-f]{11,}\b`)
	mixtures   = regexp.MustCompile(`\b[A-Za-z]+_?[A-Za-z_]*[0-9][A-Za-z0-9_]{7,}\b`)
	numbers    = regexp.MustCompile(`\d{4,}`)
)

func messageShape(s string) string {
	s = quotations.ReplaceAllString(s, "…")
	for _, r := range []*regexp.Regexp{uuids, hexes, mixtures, numbers} {
		s = r.ReplaceAllString(s, "#")
	}
	return s
}

// Since is what became of a dead letter after the run that a reset started from.
type Since struct {
	// State is one of the constants below.
	State string `json:"state,omitempty"`
	// Run is the run that tells.
	Run string `json:"run,omitempty"`
	// Letter is the newer dead letter of SinceDead, Corrected its corrected body.
	Letter    *Letter `json:"letter,omitempty"`
	Corrected []byte  `json:"corrected,omitempty"`
	// Past is what was left to do when the run of SinceInterrupted ended.
	Past *Past `json:"past,omitempty"`
}

// The states of Since.
const (
	// SinceNothing is a dead letter that nobody has replayed.
	SinceNothing = ""
	// SinceSettled is one whose event is handled or discarded.
	SinceSettled = "settled"
	// SinceDead is one whose event was replayed and is dead again.
	SinceDead = "dead"
	// SinceInterrupted is one whose replay was ended by somebody, a second reset
	// for one, while it was under way.
	SinceInterrupted = "interrupted"
)

// maxReplays is how many earlier replays a dead letter remembers, maxWhy how
// many bytes of why each was needed.
const (
	maxReplays = 20
	maxWhy     = 200
)

// Past is what a replay of the letter needs to know. r says who replays it and
// when; why it is needed the letter knows.
func (l Letter) Past(r Replay) Past {
	past := Past{Done: l.Done, Correction: l.Correction}
	for _, f := range l.Failures {
		if f.Route != "" {
			past.Left = append(past.Left, f.Route)
		}
		if f.Type == FailureUndecided {
			past.Undecided = append(past.Undecided, f.Route)
		}
		if r.Error == "" {
			r.Error = Cut(f.Message, maxWhy)
		}
	}
	past.Replays = append(append([]Replay{}, l.Replays...), r)
	if n := len(past.Replays); n > maxReplays {
		past.Replays = past.Replays[n-maxReplays:]
	}
	return past
}
