// Package sweep asks senders for events that they could not deliver and would not
// send again by themselves. Each sender whose API can tell is a Sender; what they
// are asked for comes in by the receiver like any event, signed and judged, and
// what had come in before is a duplicate.
package sweep

import (
	"context"
	"fmt"
	"time"
)

// Failed is an event that a sender could not deliver.
type Failed struct {
	// ID is the sender's name of the event, Delivery that of its last attempt.
	ID       string `json:"id"`
	Delivery string `json:"delivery"`
	// Type is the event's.
	Type string `json:"type"`
	// At is when the last attempt was made, Status how it was answered.
	At     time.Time `json:"at"`
	Status string    `json:"status"`
}

// Sender is the API of a sender.
type Sender interface {
	// Failed lists the events since a time of which no delivery succeeded, the
	// oldest first.
	Failed(ctx context.Context, since time.Time) ([]Failed, error)
	// Redeliver asks for an event again.
	Redeliver(ctx context.Context, f Failed) error
}

// Result is what a sweep has come to.
type Result struct {
	Failed    []Failed `json:"failed"`
	Asked     int      `json:"asked"`
	Remaining int      `json:"remaining"`
}

// Run asks a sender for what failed since a time; with dry it only looks. At an
// error it stops, and the result says how far it came.
func Run(ctx context.Context, s Sender, since time.Time, dry bool) (Result, error) {
	failed, err := s.Failed(ctx, since)
	r := Result{Failed: failed, Remaining: len(failed)}
	if r.Failed == nil {
		r.Failed = []Failed{}
	}
	if err != nil || dry {
		return r, err
	}
	for _, f := range failed {
		if err := s.Redeliver(ctx, f); err != nil {
			return r, fmt.Errorf("ask for event %s again: %w", f.ID, err)
		}
		r.Asked++
		r.Remaining--
	}
	return r, nil
}
