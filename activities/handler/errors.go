package handler

import (
	"errors"
	"time"
)

// Permanent marks an error that no further attempt can mend: the event becomes
// a dead letter at once.
func Permanent(err error) error { return &permanent{err} }

type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

// IsPermanent tells whether err, or an error it wraps, is marked Permanent.
func IsPermanent(err error) bool {
	var p *permanent
	return errors.As(err, &p)
}

// RetryAfter says when to try again: after d, or after the ordinary backoff if
// that is longer; an hour at the most.
func RetryAfter(d time.Duration, err error) error { return &retryAfter{err, d} }

type retryAfter struct {
	error
	after time.Duration
}

func (r *retryAfter) Unwrap() error { return r.error }

// Hint is the time that RetryAfter gave, or 0.
func Hint(err error) time.Duration {
	if r, ok := errors.AsType[*retryAfter](err); ok {
		return min(r.after, time.Hour)
	}
	return 0
}
