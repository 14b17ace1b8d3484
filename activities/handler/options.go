package handler

import (
	"time"

	"github.com/grapnel/grapnel/internal/event"
)

// Options say how a handler is run.
type Options struct {
	// Name is the stable name of the binding; empty: made of source and type.
	Name string
	// Timeout is how long one attempt may take.
	Timeout time.Duration
	// Retry is when it is tried again.
	Retry event.Retry
}

// Defaults are three attempts, one and two seconds apart, of five seconds each.
func Defaults() Options {
	return Options{
		Timeout: 5 * time.Second,
		Retry:   event.Retry{Attempts: 3, Initial: time.Second, Multiplier: 2, Max: 30 * time.Second},
	}
}

// Option changes one of the options of a binding.
type Option func(*Options)

// Attempts is the number of attempts in all, the first one included.
func Attempts(n int) Option {
	return func(o *Options) { o.Retry.Attempts = max(n, 1) }
}

// Backoff is the rest after the first failed attempt, what each later rest is
// longer than the one before it, and the longest rest.
func Backoff(initial time.Duration, multiplier float64, longest time.Duration) Option {
	return func(o *Options) {
		o.Retry.Initial, o.Retry.Multiplier, o.Retry.Max = initial, multiplier, longest
	}
}

// Schedule lists the rests one by one; the last one is repeated.
func Schedule(rests ...time.Duration) Option {
	return func(o *Options) { o.Retry.Schedule = rests }
}

// Timeout is how long one attempt may take. An attempt that may take over five
// seconds costs the engine more: it can't be made within the workflow task.
func Timeout(d time.Duration) Option {
	return func(o *Options) { o.Timeout = d }
}

// Name gives a binding a name of its own: after a rename of source or type the
// old name keeps what is in flight, and dead letters, pointing at the handler.
func Name(s string) Option {
	return func(o *Options) { o.Name = s }
}
