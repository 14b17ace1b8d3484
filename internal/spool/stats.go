package spool

import (
	"math"
	"sync/atomic"
	"time"
)

// Stats is the state of the spool at one moment.
type Stats struct {
	// Depth counts waiting entries, leased ones included; Leased counts those alone.
	Depth, Leased int
	// Bytes is what waits and what was set aside, MaxBytes its bound.
	Bytes, MaxBytes int64
	// OldestAge is the age of the oldest waiting entry, zero when nothing waits.
	OldestAge time.Duration
	// DrainRate is entries done per second, averaged over about ten seconds.
	DrainRate float64
	// Refused and RefusedBytes count the entries that were set aside.
	Refused      int
	RefusedBytes int64
	// Failed says that the disk is not trusted at the moment, Cause why.
	Failed bool
	Cause  string
	// Accepted, Repeats, Drained, Groups, Syncs and Failures count since Open: entries kept, puts of an entry that was
	// kept already, entries done, groups committed, syncs of data, and disk failures.
	Accepted, Repeats, Drained, Groups, Syncs, Failures uint64
	// DamagedBytes is how much of the files could not be read at Open.
	DamagedBytes int64
}

type counters struct {
	accepted, repeats, drained, groups, failures uint64
	syncs                                        atomic.Uint64
	damaged                                      int64
	rate                                         rate
}

// Stats returns the state of the spool.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.counters
	st := Stats{
		Depth: s.queue.count + len(s.leased) + len(s.returned), Leased: len(s.leased),
		Bytes: s.bytes, MaxBytes: s.opts.MaxBytes, OldestAge: s.ageLocked(), DrainRate: c.rate.per(s.opts.Clock()),
		Refused: len(s.refused), Failed: s.failure != nil,
		Accepted: c.accepted, Repeats: c.repeats, Drained: c.drained, Groups: c.groups,
		Syncs: c.syncs.Load(), Failures: c.failures, DamagedBytes: c.damaged,
	}
	for _, r := range s.refused {
		st.RefusedBytes += r.Size
	}
	if s.failure != nil {
		st.Cause = s.failure.Error()
	}
	return st
}

const rateWindow = 10 * time.Second

// rate is an exponentially weighted count per second.
type rate struct {
	value float64
	last  time.Time
}

func (r *rate) decay(now time.Time) {
	if past := now.Sub(r.last); past > 0 {
		r.value *= math.Exp(-float64(past) / float64(rateWindow))
	}
	r.last = now
}

func (r *rate) add(now time.Time) {
	r.decay(now)
	r.value += 1 / rateWindow.Seconds()
}

func (r *rate) per(now time.Time) float64 {
	r.decay(now)
	return r.value
}
