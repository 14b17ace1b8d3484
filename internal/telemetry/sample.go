package telemetry

import (
	"sync"
	"time"
)

// Sample chooses what is logged of things that may come by the thousand: of each kind,
// some in each period. There must be no more kinds than the configuration and the code
// name, so that no stranger makes up others. It is safe for concurrent use.
type Sample[K comparable] struct {
	now func() time.Time

	mu     sync.Mutex
	byKind map[K]*sampled
}

// sampled is what was logged of a kind, and what was not, since a time.
type sampled struct {
	since          time.Time
	logged, missed int
}

const (
	samplePeriod = 10 * time.Second
	perSample    = 10
)

// NewSample makes one; a nil clock is the system's.
func NewSample[K comparable](now func() time.Time) *Sample[K] {
	if now == nil {
		now = time.Now
	}
	return &Sample[K]{now: now, byKind: map[K]*sampled{}}
}

// Take tells whether to log one of a kind, and how many of its kind were not since the
// last that was.
func (s *Sample[K]) Take(kind K) (logIt bool, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.byKind[kind]
	if k == nil {
		k = &sampled{}
		s.byKind[kind] = k
	}
	if now := s.now(); now.Sub(k.since).Abs() >= samplePeriod {
		k.since, k.logged = now, 0
	}
	if k.logged >= perSample {
		k.missed++
		return false, 0
	}
	k.logged++
	left, k.missed = k.missed, 0
	return true, left
}
