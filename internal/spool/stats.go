package spool

import (
	"math"
	"strconv"
	"sync/atomic"
	"time"
)

// Stats is the state of the spool at one moment.
type Stats struct {
	// Depth counts waiting entries, leased ones included; Leased counts those alone.
	Depth  int `json:"depth"`
	Leased int `json:"leased"`
	// Bytes is what waits and what was set aside, MaxBytes its bound.
	Bytes    int64 `json:"bytes"`
	MaxBytes int64 `json:"maxBytes"`
	// OldestAge is the age of the oldest waiting entry, zero when nothing waits.
	OldestAge Seconds `json:"oldestAgeSeconds"`
	// DrainRate is entries done per second, averaged over about ten seconds.
	DrainRate float64 `json:"drainRate"`
	// Refused and RefusedBytes count the entries that were set aside.
	Refused      int   `json:"refused"`
	RefusedBytes int64 `json:"refusedBytes"`
	// Failed says that the disk is not trusted at the moment, Full that a bound is reached, Cause why.
	Failed bool   `json:"failed"`
	Full   bool   `json:"full"`
	Cause  string `json:"cause,omitempty"`
	// Accepted, Repeats, Drained, Groups, Syncs and Failures count since Open: entries kept, puts of an entry that was
	// kept already, entries done, groups committed, syncs of data, and disk failures.
	Accepted uint64 `json:"accepted"`
	Repeats  uint64 `json:"repeats"`
	Drained  uint64 `json:"drained"`
	Groups   uint64 `json:"groups"`
	Syncs    uint64 `json:"syncs"`
	Failures uint64 `json:"failures"`
	// DamagedBytes is how much of the files could not be read at Open.
	DamagedBytes int64 `json:"damagedBytes"`
}

// Seconds is a duration that is written as a number of seconds.
type Seconds time.Duration

// Seconds gives the number.
func (s Seconds) Seconds() float64 { return time.Duration(s).Seconds() }

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, s.Seconds(), 'f', 3, 64), nil
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
		Depth: s.depthLocked(), Leased: len(s.leased),
		Bytes: s.bytes, MaxBytes: s.opts.MaxBytes, OldestAge: Seconds(s.ageLocked()), DrainRate: c.rate.per(s.opts.Clock()),
		Refused: len(s.refused), Failed: s.failure != nil,
		Accepted: c.accepted, Repeats: c.repeats, Drained: c.drained, Groups: c.groups,
		Syncs: c.syncs.Load(), Failures: c.failures, DamagedBytes: c.damaged,
	}
	for _, r := range s.refused {
		st.RefusedBytes += r.Size
	}
	if err := s.roomLocked(roomForOne); err != nil {
		st.Full, st.Cause = true, err.Error()
	}
	if s.failure != nil {
		st.Cause = s.failureLocked().Error()
	}
	return st
}

// roomForOne is what has to be free for the spool not to be called full: an entry of common size.
const roomForOne = 4 << 10

// Depth counts waiting entries, leased ones included.
func (s *Spool) Depth() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.depthLocked()
}

func (s *Spool) depthLocked() int { return s.queue.count + len(s.leased) + len(s.returned) }

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
