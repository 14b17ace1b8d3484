package spool

import (
	"slices"
	"time"
)

// Done forgets a leased entry. The disk hears of it a little later, together with others: after a crash in between the
// entry is offered again.
func (s *Spool) Done(e Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.leased[e.Sequence]
	if it == nil {
		return
	}
	delete(s.known, it.id)
	s.bytes -= int64(it.size)
	s.counters.drained++
	s.counters.rate.add(s.opts.Clock())
	s.finishLocked(it)
}

// finishLocked takes an item out of the queue.
func (s *Spool) finishLocked(it *item) {
	delete(s.leased, it.sequence)
	it.segment.live--
	if len(s.finished) == 0 {
		s.doneSince = time.Now()
	}
	s.finished = append(s.finished, finish{sequence: it.sequence, segment: it.segment})
	if n := len(s.finished); n == 1 || n == doneAtOnce {
		s.wake()
	}
	s.oldestLocked()
}

// Retry puts a leased entry back in its place; it is offered again after the delay.
func (s *Spool) Retry(e Entry, delay time.Duration) {
	s.mu.Lock()
	it := s.leased[e.Sequence]
	s.mu.Unlock()
	if it != nil {
		s.putBack(it, delay)
	}
}

func (s *Spool) putBack(it *item, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leased[it.sequence] != it {
		return
	}
	delete(s.leased, it.sequence)
	it.after = time.Now().Add(delay)
	at, _ := slices.BinarySearchFunc(s.returned, it.sequence, func(other *item, sequence uint64) int {
		if other.sequence < sequence {
			return -1
		}
		return 1
	})
	s.returned = slices.Insert(s.returned, at, it)
	s.offerLocked()
}

// offerLocked wakes everybody who waits in Next.
func (s *Spool) offerLocked() {
	close(s.waiters)
	s.waiters = make(chan struct{})
}

func (s *Spool) waitingLocked(it *item) bool {
	return s.leased[it.sequence] == it || slices.Contains(s.returned, it)
}

// oldestLocked notes when the oldest waiting entry came.
func (s *Spool) oldestLocked() {
	var oldest int64
	note := func(received int64) {
		if oldest == 0 || received < oldest {
			oldest = received
		}
	}
	for _, it := range s.leased {
		note(it.received)
	}
	if len(s.returned) > 0 {
		note(s.returned[0].received)
	}
	if s.queue.count > 0 {
		note(s.queue.first().received)
	}
	s.oldest = time.Time{}
	if oldest != 0 {
		s.oldest = time.Unix(0, oldest)
	}
}
