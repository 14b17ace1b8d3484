package starter

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/pace"
)

// admission bounds the starts under way, so that each stays fast: past the bound
// an event is on our own disk sooner than in the engine. Once a start has failed,
// no request waits for the engine while events wait on disk: those are what the
// engine is tried with.
type admission struct {
	mu       sync.Mutex
	pace     *pace.Pace
	most     int
	now      func() time.Time
	underWay int
	// away is set from a failure, or a start that is late, to the next success, be
	// it the drain's.
	away bool
	// queued tells whether events wait on disk.
	queued func() bool
	log    *zap.Logger
}

// firstStarts is the number of starts under way to begin with: about what an
// engine on SQLite takes without making them wait for each other.
const firstStarts = 4

func newAdmission(most int, now func() time.Time, queued func() bool, log *zap.Logger) *admission {
	return &admission{
		queued: queued, log: log, now: now, most: most,
		pace: pace.New(pace.Options{Most: most, First: firstStarts, LastBackoff: 5 * time.Second}),
	}
}

// visit is a start under way. leave must be called once, at its end.
type visit struct {
	*admission
	began  time.Time
	round  int
	isLate bool
}

// enter asks for leave to start an event now.
func (a *admission) enter() (v *visit, ok bool) {
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

// squeeze asks for leave to start an event that no disk takes: past what the engine
// takes easily, up to what it is ever asked for, unless it is away.
func (a *admission) squeeze() (v *visit, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away || a.underWay >= a.most {
		return nil, false
	}
	return a.begin(a.now()), true
}

// begin begins a visit. The lock is held.
func (a *admission) begin(now time.Time) *visit {
	a.underWay++
	return &visit{admission: a, began: now, round: a.pace.Round()}
}

// late says that the start takes longer than its sender can wait, which is as
// bad as a failure. It goes on.
func (v *visit) late() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.isLate = true
	v.lost(errSlow)
	v.pace.Failed(v.round, v.now())
}

// leave says how the start went: failure is nil when the engine is well. That a
// late one failed is old news.
func (v *visit) leave(failure error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	full := v.underWay >= v.pace.Limit()
	v.underWay--
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

// back hears that the drain has found the engine well.
func (a *admission) back() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found()
}

// lost notes that the engine does not take events now. The lock is held.
func (a *admission) lost(cause error) {
	if !a.away {
		a.log.Warn("Temporal takes no events now; they are kept on disk until it does", zap.Error(cause))
	}
	a.away = true
}

// found notes that the engine takes events. The lock is held.
func (a *admission) found() {
	if a.away {
		a.log.Info("Temporal takes events again")
	}
	a.away = false
}
