package telemetry

import (
	"sync"
	"time"
)

// Sample decides which of many similar things are logged: of each kind, at most 10 in 10 s. Kinds
// must come from the configuration or the code, because a stranger who could choose them could fill
// the memory. It is safe for concurrent use.
type Sample[K comparable] struct {
	now func() time.Time

	mu     sync.Mutex
	byKind map[K]*sampled
}

// sampled counts what was logged of a kind in this period, and what was not since the last that
// was.
type sampled struct {
	since          time.Time
	logged, missed int
}

const (
	samplePeriod = 10 * time.Second
	perSample    = 10
)

// NewSample makes a sample. If now is nil, it is time.Now.
func NewSample[K comparable](now func() time.Time) *Sample[K] {
	if now == nil {
		now = time.Now
	}
	return &Sample[K]{now: now, byKind: map[K]*sampled{}}
}

// Take tells whether to log a thing of this kind. left is how many of its kind were not logged
// since the last one that was.
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
