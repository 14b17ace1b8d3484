package starter

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/pace"
)

// admission decides whether a request may start its event in Temporal now; otherwise the event
// goes to the spool. It bounds the starts under way so that each of them stays fast: past the
// bound, the disk is faster than Temporal. After a failed start only the spool's drain tries
// Temporal, as long as the spool holds events.
type admission struct {
	mu       sync.Mutex
	pace     *pace.Pace
	most     int
	now      func() time.Time
	underWay int
	// away is set by a start that fails or is late. The next successful start clears it, be it of
	// a request or of the drain.
	away bool
	// queued tells whether the spool holds events.
	queued func() bool
	log    *zap.Logger
}

const (
	// firstStarts is how many starts may be under way at the beginning: about as many as a
	// Temporal on SQLite handles without making them wait for each other.
	firstStarts = 4
	// lastBackoff is the longest pause between two probes of a Temporal that is away.
	lastBackoff = 5 * time.Second
)

func newAdmission(most int, now func() time.Time, queued func() bool, log *zap.Logger) *admission {
	return &admission{
		queued: queued, log: log, now: now, most: most,
		pace: pace.New(pace.Options{Most: most, First: firstStarts, LastBackoff: lastBackoff}),
	}
}

// startVisit stands for a start under way. Whoever began the start calls leave once, when it
// ends.
type startVisit struct {
	*admission
	began  time.Time
	round  int
	isLate bool
	left   bool
}

// enter asks to start an event now.
func (a *admission) enter() (v *startVisit, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.away && a.queued() {
		return nil, false
	}
	if a.pace.Room(now, a.underWay) <= 0 {
		return nil, false
	}
	return a.begin(now), true
}

// squeeze asks to start an event that the spool can't take. Unless Temporal is away, it allows
// more starts than Temporal takes easily, up to max_inflight.
func (a *admission) squeeze() (v *startVisit, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away || a.underWay >= a.most {
		return nil, false
	}
	return a.begin(a.now()), true
}

// begin counts a start as under way. The caller holds the lock.
func (a *admission) begin(now time.Time) *startVisit {
	a.underWay++
	return &startVisit{admission: a, began: now, round: a.pace.Round()}
}

// late notes that the start takes longer than its sender can wait. That counts as a failure of
// Temporal, while the start goes on. If the start has ended already, late does nothing.
func (v *startVisit) late() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.left {
		return
	}
	v.isLate = true
	v.lost(errSlow)
	v.pace.Failed(v.round, v.now())
}

// leave notes how the start ended; failure is nil if Temporal answered as it should. A start that
// was late has been counted as a failure already.
func (v *startVisit) leave(failure error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	full := v.underWay >= v.pace.Limit()
	v.underWay--
	v.left = true
	if failure != nil && v.isLate {
		return
	}
	now := v.now()
	if failure != nil {
		v.lost(failure)
		v.pace.Failed(v.round, now)
		return
	}
	v.found()
	v.pace.Succeeded(v.round, now.Sub(v.began), full)
}

// back notes that the drain has started an event.
func (a *admission) back() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found()
}

// lost notes that Temporal can't take events now. The caller holds the lock.
func (a *admission) lost(cause error) {
	if !a.away {
		a.log.Warn("Temporal takes no events now; they are kept on disk until it does", zap.Error(cause))
	}
	a.away = true
}

// found notes that Temporal takes events again. The caller holds the lock.
func (a *admission) found() {
	if a.away {
		a.log.Info("Temporal takes events again")
	}
	a.away = false
}
