// Package sweep asks senders to send events again that they could not deliver and would not repeat
// by themselves. A Sender is the API of one kind of sender. The events come in through the receiver
// like all others and are verified there; an event that had come in before is a duplicate.
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
	// ID is the sender's ID of the event, Delivery that of its last attempt.
	ID       string `json:"id"`
	Delivery string `json:"delivery"`
	// Type is the event's type.
	Type string `json:"type"`
	// First is when the first attempt was made, as far back as the sweep looks.
	First time.Time `json:"first"`
	// At is when the last attempt was made, Status the answer that the sender got.
	At     time.Time `json:"at"`
	Status string    `json:"status"`
}

// Sender is the API of a sender. If the API refuses a call because of a rate limit, the error is a
// *LimitedError.
type Sender interface {
	// Failed lists the events that had attempts since a time, none of which succeeded, the oldest
	// first.
	Failed(ctx context.Context, since time.Time) ([]Failed, error)
	// Redeliver asks the sender to deliver an event again.
	Redeliver(ctx context.Context, f Failed) error
}

// LimitedError is a rate limit of a sender's API.
type LimitedError struct {
	// For is how long the limit lasts.
	For time.Duration
	// Answer is the sender's answer, for people.
	Answer string
}

// Error says how long the limit lasts.
func (e *LimitedError) Error() string {
	return fmt.Sprintf("a rate limit of %s: %s", e.For.Round(time.Second), e.Answer)
}

// Senders returns a constructor for each kind of sender. For a new kind, write a Sender and add a
// line here.
func Senders() map[string]func(of map[string]string, lookup func(string) (string, bool)) (Sender, error) {
	return map[string]func(map[string]string, func(string) (string, bool)) (Sender, error){
		"github": openGitHub,
	}
}

// Open makes the Sender of a sweep. lookup gives its secrets from the environment.
func Open(s event.Sweep, lookup func(string) (string, bool)) (Sender, error) {
	open, ok := Senders()[s.Sender]
	if !ok {
		return nil, fmt.Errorf("the sender %q is not known; known is %s", s.Sender, strings.Join(slices.Sorted(maps.Keys(Senders())), ", "))
	}
	return open(s.Of, lookup)
}

// Options say how Run sweeps.
type Options struct {
	// Since is how far back the sweep looks.
	Since time.Time
	// Dry lists failed events without asking for them.
	Dry bool
	// Due is the present time, or zero. If it is set, an event is asked for only when as much time
	// has passed since its last attempt as lies between its first and its last, and at least a
	// minute. So an event that always fails is asked for less and less often.
	Due time.Time
	// LongestWait is the longest rate limit that Run waits for; a longer one ends the sweep.
	LongestWait time.Duration
	// Alive is called now and then as a heartbeat; nil means no call.
	Alive func()
	// Wait waits for a rate limit to pass; nil means to sleep.
	Wait func(ctx context.Context, d time.Duration) error
}

// Result says what a sweep found and did: the failed events, how many it asked for, and how many it
// did not.
type Result struct {
	Failed    []Failed `json:"failed"`
	Asked     int      `json:"asked"`
	Remaining int      `json:"remaining"`
}

// Run asks a sender for the events that failed. On an error it stops, and the result says how far
// it came.
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

// soonestAgain is the least time between an attempt and the next request for the event: the
// sender's list is late, and a delivery may be under way.
const soonestAgain = time.Minute

func (o Options) isDue(f Failed) bool {
	return o.Due.IsZero() || o.Due.Sub(f.At) >= max(f.At.Sub(f.First), soonestAgain)
}

// limitTries is how often a call is made that a rate limit refuses.
const limitTries = 5

// patiently makes a call, and repeats it after a rate limit.
func (o Options) patiently(ctx context.Context, call func() error) error {
	for try := 1; ; try++ {
		if o.Alive != nil {
			o.Alive()
		}
		err := call()
		limited, ok := errors.AsType[*LimitedError](err)
		if !ok || try == limitTries || limited.For > o.LongestWait {
			return err
		}
		if err := o.wait(ctx, limited.For); err != nil {
			return err
		}
	}
}

func (o Options) wait(ctx context.Context, d time.Duration) error {
	if o.Wait != nil {
		return o.Wait(ctx, d)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for the sender's rate limit: %w", ctx.Err())
	case <-time.After(d):
		return nil
	}
}
