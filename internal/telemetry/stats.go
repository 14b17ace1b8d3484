package telemetry

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// Stats keeps the process's health figures. It writes a warning to the log when too many events
// begin to fail, and a line when that is over. It is safe for concurrent use.
type Stats struct {
	log *zap.Logger
	now func() time.Time

	mu    sync.Mutex
	tally Tally
	alarm Alarm
}

// NewStats makes empty figures. If now is nil, it is time.Now.
func NewStats(log *zap.Logger, now func() time.Time) *Stats {
	if now == nil {
		now = time.Now
	}
	return &Stats{log: log, now: now}
}

// Received counts an event that passed verification, repeats included.
func (s *Stats) Received() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally.Received++
}

// Duplicate counts an event that was seen before.
func (s *Stats) Duplicate() { s.settle(Duplicate, 0) }

// Processed counts an event that was handled. took is the time since its receipt.
func (s *Stats) Processed(took time.Duration) { s.settle(Processed, took) }

// Failed counts an event that became a dead letter. took is the time since its receipt.
func (s *Stats) Failed(took time.Duration) { s.settle(Failed, took) }

// Recovered counts an event as handled, and no longer as failed.
func (s *Stats) Recovered(took time.Duration) {
	s.mu.Lock()
	s.tally.Failed = max(s.tally.Failed-1, 0)
	s.mu.Unlock()
	s.settle(Processed, took)
}

// Health returns the present figures.
func (s *Stats) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally.Health()
}

func (s *Stats) settle(o EventOutcome, took time.Duration) {
	s.mu.Lock()
	s.tally = s.tally.Settle(o, took, s.now())
	change, rate := s.alarm.Observe(o), s.alarm.Rate()
	s.mu.Unlock()
	switch change {
	case Raised:
		s.log.Warn("too many events fail, look at the dead letters", zap.Float64("failureRate", rate))
	case Cleared:
		s.log.Info("events are handled again", zap.Float64("failureRate", rate))
	case Unchanged:
	}
}
