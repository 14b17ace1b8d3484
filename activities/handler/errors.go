package handler

import (
	"errors"
	"time"
)

// maxDelay is the longest time that RetryAfter may ask for.
const maxDelay = time.Hour

// Permanent marks an error after which no further attempt can succeed: the event becomes a dead
// letter at once.
func Permanent(err error) error { return &permanent{err} }

type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

// IsPermanent tells whether err, or an error it wraps, is marked Permanent.
func IsPermanent(err error) bool {
	_, ok := errors.AsType[*permanent](err)
	return ok
}

// RetryAfter says when to try again: after d, but at most an hour, or after the
// ordinary backoff where that is longer. The attempt counts.
func RetryAfter(d time.Duration, err error) error { return &retryAfter{err, d} }

type retryAfter struct {
	error
	after time.Duration
}

func (r *retryAfter) Unwrap() error { return r.error }

// Hint gives the delay that RetryAfter was given, or 0.
func Hint(err error) time.Duration {
	if r, ok := errors.AsType[*retryAfter](err); ok {
		return min(r.after, maxDelay)
	}
	return 0
}

// Defer puts an event off by d without using up an attempt: for what is not the
// event's fault, such as an API whose quota is used up until midnight. err says
// why; the Web UI shows it while the event waits. Whoever defers an event each
// time never lets it become a dead letter.
func Defer(d time.Duration, err error) error { return &deferred{err, d} }

type deferred struct {
	error
	by time.Duration
}

func (d *deferred) Unwrap() error { return d.error }

// Deferral gives the time that Defer was given, if err, or an error it wraps, comes from Defer.
func Deferral(err error) (d time.Duration, ok bool) {
	if e, ok := errors.AsType[*deferred](err); ok {
		return max(e.by, 0), true
	}
	return 0, false
}
