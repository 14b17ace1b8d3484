package event

import "time"

// Pauses is a workflow that holds what is paused: one run for all processes of a
// namespace, whose memo they read.
const (
	// Pauses is its workflow type, PausesID its workflow ID.
	Pauses   = "Pauses"
	PausesID = "grapnel-pauses"
	// SignalPause is the signal that takes a PauseChange.
	SignalPause = "pause"
	// MemoPauses is the key of its memo, a PauseState.
	MemoPauses = "pauses"
)

// What can be paused.
const (
	// PauseSource keeps a source's events from being handled. They are still
	// verified, answered and kept.
	PauseSource = "source"
	// PauseDestination keeps events from a destination.
	PauseDestination = "destination"
)

// Pause says why something is paused.
type Pause struct {
	Reason string    `json:"reason,omitempty"`
	Actor  string    `json:"actor,omitempty"`
	Since  time.Time `json:"since"`
}

// PauseState is what is paused, by PauseKey.
type PauseState map[string]Pause

// PauseKey is the key of a source or a destination: destination/crm.
func PauseKey(kind, name string) string { return kind + "/" + name }

// PauseChange pauses something, or ends its pause.
type PauseChange struct {
	Key    string `json:"key"`
	Paused bool   `json:"paused"`
	Pause  Pause  `json:"pause"`
}

// Apply makes a change. A pause of what is paused keeps the time of the first.
func (s PauseState) Apply(c PauseChange) {
	before, paused := s[c.Key]
	switch {
	case !c.Paused:
		delete(s, c.Key)
	case paused:
		c.Pause.Since = before.Since
		fallthrough
	default:
		s[c.Key] = c.Pause
	}
}
