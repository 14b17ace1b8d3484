package starter

import (
	"container/list"
	"sync"
	"time"
)

// seen remembers the events that Temporal is known to have. It is a memory, not
// the truth: what it forgets costs a call more, and what it knows is looked up
// before it is believed, except when an ID is repeated so often that looking it
// up would be the harm.
type seen struct {
	mu    sync.Mutex
	size  int
	now   func() time.Time
	byID  map[string]*list.Element
	order *list.List // most recent first
}

type sighting struct {
	id, digest string
	since      time.Time // the minute in which repeats are counted
	repeats    int
	revived    time.Time
}

const (
	// seenSize bounds the memory to some 20 MB.
	seenSize = 1 << 16
	// repeatsPerMinute of one ID are looked up; more are duplicates unseen.
	repeatsPerMinute = 10
)

func newSeen(size int, now func() time.Time) *seen {
	return &seen{size: size, now: now, byID: map[string]*list.Element{}, order: list.New()}
}

// note counts a request for an ID. known says that Temporal had it lately; often
// that the same event was repeated too often to be looked up again.
func (s *seen) note(id, digest string) (known, often bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	el, ok := s.byID[id]
	if !ok {
		return false, false
	}
	s.order.MoveToFront(el)
	g := el.Value.(*sighting) //nolint:forcetypeassert // The list holds nothing else.
	if s.now().Sub(g.since) >= time.Minute {
		g.since, g.repeats = s.now(), 0
	}
	g.repeats++
	return true, g.digest == digest && g.repeats > repeatsPerMinute
}

// add remembers that Temporal has the event.
func (s *seen) add(id, digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.byID[id]; ok {
		return
	}
	s.byID[id] = s.order.PushFront(&sighting{id: id, digest: digest, since: s.now()})
	if s.order.Len() > s.size {
		oldest := s.order.Back()
		s.order.Remove(oldest)
		delete(s.byID, oldest.Value.(*sighting).id) //nolint:forcetypeassert // The list holds nothing else.
	}
}

// unrevive gives the turn of a dead letter back that could not be played again.
func (s *seen) unrevive(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if el, ok := s.byID[id]; ok {
		el.Value.(*sighting).revived = time.Time{} //nolint:forcetypeassert // The list holds nothing else.
	}
}

// revive tells whether the dead letter of an ID may be played again: not more
// often than every so long.
func (s *seen) revive(id string, every time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	el, ok := s.byID[id]
	if !ok {
		return true
	}
	g := el.Value.(*sighting) //nolint:forcetypeassert // The list holds nothing else.
	if s.now().Sub(g.revived) < every {
		return false
	}
	g.revived = s.now()
	return true
}
