// Package sweep asks senders for events that they could not deliver and would not
// send again by themselves. Each sender whose API can tell is a Sender; what they
// are asked for comes in by the receiver like any event, signed and judged, and
// what had come in before is a duplicate.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/event"
)

// Failed is an event that a sender could not deliver.
type Failed struct {
	// ID is the sender's name of the event, Delivery that of its last attempt.
	ID       string `json:"id"`
	Delivery string `json:"delivery"`
	// Type is the event's.
	Type string `json:"type"`
	// First is when it was tried for the first time, as far as was looked back.
	First time.Time `json:"first"`
	// At is when the last attempt was made, Status how it was answered.
	At     time.Time `json:"at"`
	Status string    `json:"status"`
}

// Sender is the API of a sender. A rate limit that it meets is a *LimitedError.
type Sender interface {
	// Failed lists the events since a time of which no delivery succeeded, the
	// oldest first.
	Failed(ctx context.Context, since time.Time) ([]Failed, error)
	// Redeliver asks for an event again.
	Redeliver(ctx context.Context, f Failed) error
}

// LimitedError is a rate limit of a sender's API.
type LimitedError struct {
	// For is how long it lasts.
	For time.Duration
	// Said is the sender's answer.
	Said string
}

// Error says how long it lasts.
func (e *LimitedError) Error() string {
	return fmt.Sprintf("a rate limit of %s: %s", e.For.Round(time.Second), e.Said)
}

// Senders lists those that are known. Another one is a Sender of its own and a line
// here.
func Senders() map[string]func(of map[string]string, lookup func(string) (string, bool)) (Sender, error) {
	return map[string]func(map[string]string, func(string) (string, bool)) (Sender, error){
		"github": openGitHub,
	}
}

// Open makes the sender of a sweep. Its secrets are looked up in the environment.
func Open(s event.Sweep, lookup func(string) (string, bool)) (Sender, error) {
	open, ok := Senders()[s.Sender]
	if !ok {
		return nil, fmt.Errorf("the sender %q is not known; one is %s", s.Sender, strings.Join(slices.Sorted(maps.Keys(Senders())), ", "))
	}
	return open(s.Of, lookup)
}

// Options are how a sweep is made.
type Options struct {
	// Since is how far it looks back.
	Since time.Time
	// Dry only looks.
	Dry bool
	// Due, where it is set, leaves out what was tried a short while ago: each event
	// is asked for when as much time has passed since the last attempt as between it
	// and the first one. So one that always fails is asked for ever more rarely.
	Due time.Time
	// LongestRest is up to how long a rate limit is waited out; a longer one ends
	// the sweep.
	LongestRest time.Duration
	// Alive is told now and then that it goes on; nil is nobody.
	Alive func()
	// Rest waits; nil sleeps.
	Rest func(ctx context.Context, d time.Duration) error
}

// Result is what a sweep has come to.
type Result struct {
	Failed    []Failed `json:"failed"`
	Asked     int      `json:"asked"`
	Remaining int      `json:"remaining"`
}

// Run asks a sender for what failed. At an error it stops, and the result says how
// far it came.
func Run(ctx context.Context, s Sender, o Options) (Result, error) {
	r := Result{Failed: []Failed{}}
	err := o.patiently(ctx, func() error {
		failed, err := s.Failed(ctx, o.Since)
		r.Failed = append([]Failed{}, failed...)
		return err
	})
	r.Remaining = len(r.Failed)
	if err != nil || o.Dry {
		return r, err
	}
	for _, f := range r.Failed {
		if !o.isDue(f) {
			continue
		}
		if err := o.patiently(ctx, func() error { return s.Redeliver(ctx, f) }); err != nil {
			return r, fmt.Errorf("ask for event %s again: %w", f.ID, err)
		}
		r.Asked++
		r.Remaining--
	}
	return r, nil
}

// soonestAgain is how long after an attempt an event is asked for again at the earliest:
// the sender's own list is behind, and its delivery may be under way.
const soonestAgain = time.Minute

func (o Options) isDue(f Failed) bool {
	return o.Due.IsZero() || o.Due.Sub(f.At) >= max(f.At.Sub(f.First), soonestAgain)
}

// limitTries is how often a call that a rate limit refuses is made again.
const limitTries = 5

// patiently makes a call, and makes it again after a rate limit.
func (o Options) patiently(ctx context.Context, call func() error) error {
	for try := 1; ; try++ {
		if o.Alive != nil {
			o.Alive()
		}
		err := call()
		limited, ok := errors.AsType[*LimitedError](err)
		if !ok || try == limitTries || limited.For > o.LongestRest {
			return err
		}
		if err := o.rest(ctx, limited.For); err != nil {
			return err
		}
	}
}

func (o Options) rest(ctx context.Context, d time.Duration) error {
	if o.Rest != nil {
		return o.Rest(ctx, d)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for the sender's rate limit: %w", ctx.Err())
	case <-time.After(d):
		return nil
	}
}
