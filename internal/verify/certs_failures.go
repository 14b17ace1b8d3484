package verify

import (
	"errors"
	"time"
)

// retryAfterFailure says how long a failure is remembered.
func retryAfterFailure(err error) time.Duration {
	if definiteFetch(err) {
		return retryDefinite
	}
	return retryTemporary
}

// definiteFetch reports whether a fetch failed because of what the server holds, not because of the
// way to it.
func definiteFetch(err error) bool {
	if refused, ok := errors.AsType[*FetchError](err); ok {
		return refused.definite()
	}
	return errors.Is(err, errDocument)
}

// evict makes room in m for one entry by removing the one whose age says it is the oldest.
func evict[V any](m map[string]V, limit int, age func(V) time.Time) {
	for len(m) >= limit {
		oldest, at := "", time.Time{}
		for key, value := range m {
			if t := age(value); at.IsZero() || t.Before(at) {
				oldest, at = key, t
			}
		}
		delete(m, oldest)
	}
}
