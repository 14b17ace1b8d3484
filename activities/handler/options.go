package handler

import (
	"time"

	"github.com/grapnel/grapnel/internal/event"
)

// Options say how a handler is run.
type Options struct {
	// Name is the stable name of the binding. If it is empty, the name is made of source and
	// type.
	Name string
	// Timeout is how long one attempt may take.
	Timeout time.Duration
	// Retry says when a failed attempt is followed by another.
	Retry event.Retry
}

// Defaults gives the default options: three attempts of five seconds each, with retry delays of
// one and two seconds in between.
func Defaults() Options {
	return Options{
		Timeout: 5 * time.Second,
		Retry:   event.Retry{Attempts: 3, Initial: time.Second, Multiplier: 2, Max: 30 * time.Second},
	}
}

// Option changes one of the options of a binding.
type Option func(*Options)

// Attempts sets the number of attempts, the first one included.
func Attempts(n int) Option {
	return func(o *Options) { o.Retry.Attempts = n }
}

// Backoff sets the retry delay after the first failed attempt, the number by
// which it is multiplied after each further one, and the longest delay.
func Backoff(initial time.Duration, multiplier float64, longest time.Duration) Option {
	return func(o *Options) {
		o.Retry.Initial, o.Retry.Multiplier, o.Retry.Max = initial, multiplier, longest
	}
}

// Schedule lists the retry delays one by one, instead of Backoff. The last one is repeated.
func Schedule(delays ...time.Duration) Option {
	return func(o *Options) { o.Retry.Schedule = delays }
}

// Timeout sets how long one attempt may take; then its context ends. With a time-out of up to
// five seconds, the first attempt is made within the event's first workflow task, which costs
// Temporal nothing. With a longer one it is an activity of its own.
func Timeout(d time.Duration) Option {
	return func(o *Options) { o.Timeout = d }
}

// Name gives the binding a name of its own, with a slash and without a dot. After
// a change of source or type, the old name leads events under way and dead letters
// to the handler as before.
func Name(s string) Option {
	return func(o *Options) { o.Name = s }
}
