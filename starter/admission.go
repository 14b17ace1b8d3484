package starter

import (
	"sync"
	"time"

	"github.com/grapnel/grapnel/internal/pace"
)

// admission bounds the starts under way, so that each stays fast: past the bound
// an event is on our own disk sooner than in the engine. Once a start has failed,
// no request waits for the engine while events wait on disk: those are what the
// engine is tried with.
type admission struct {
	mu       sync.Mutex
	pace     *pace.Pace
	now      func() time.Time
	underWay int
	// away is set from a failure to the next success, be it the drain's.
	away bool
	// queued tells whether events wait on disk.
	queued func() bool
}

// firstStarts is the number of starts under way to begin with: about what an
// engine on SQLite takes without making them wait for each other.
const firstStarts = 4

func newAdmission(most int, now func() time.Time, queued func() bool) *admission {
	return &admission{queued: queued, pace: pace.New(pace.Options{Most: most, First: firstStarts, LastBackoff: 5 * time.Second}), now: now}
}

// enter asks for leave to start an event now. leave must be called with how it
// went if, and only if, ok is true.
func (a *admission) enter() (leave func(failed bool), ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	began := a.now()
	if a.away && a.queued() {
		return nil, false
	}
	if a.pace.Room(began, a.underWay) <= 0 {
		return nil, false
	}
	a.underWay++
	round := a.pace.Round()
	return func(failed bool) {
		a.mu.Lock()
		defer a.mu.Unlock()
		full := a.underWay >= a.pace.Limit()
		a.underWay--
		now := a.now()
		a.away = failed
		if failed {
			a.pace.Failed(round, now)
			return
		}
		a.pace.Succeeded(round, now.Sub(began), full)
	}, true
}

// back hears that the drain has found the engine well.
func (a *admission) back() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = false
}
