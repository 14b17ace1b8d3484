package spool

import (
	"math/rand/v2"
	"time"
)

// pace decides how many hand-overs may be under way: additive increase, multiplicative decrease, as TCP does it
// (Chiu and Jain, 1989), and a pause that doubles while nothing succeeds. A round is the time between two decreases;
// bad news from before the last decrease is old news and decreases nothing.
type pace struct {
	o        DrainOptions
	limit    float64
	round    int
	failures int // rounds that failed since the last success
	resume   time.Time
}

const (
	defaultInFlight     = 64
	defaultFast         = 50 * time.Millisecond
	defaultFirstBackoff = 100 * time.Millisecond
	defaultLastBackoff  = 15 * time.Second
	longestPause        = time.Minute
)

func newPace(o DrainOptions) *pace {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = defaultInFlight
	}
	if o.Fast <= 0 {
		o.Fast = defaultFast
	}
	if o.FirstBackoff <= 0 {
		o.FirstBackoff = defaultFirstBackoff
	}
	if o.LastBackoff <= 0 {
		o.LastBackoff = max(defaultLastBackoff, o.FirstBackoff)
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return &pace{o: o, limit: 1}
}

// room is how many hand-overs may start now.
func (p *pace) room(now time.Time, inFlight int) int {
	if now.Before(p.resume) {
		return 0
	}
	return int(p.limit) - inFlight
}

// pause is how long at most to wait before room is asked again.
func (p *pace) pause(now time.Time) time.Duration {
	if wait := p.resume.Sub(now); wait > 0 {
		return wait
	}
	return longestPause
}

// succeeded raises the limit when it was in use, and lowers it when the engine was slow.
func (p *pace) succeeded(r result, full bool) {
	p.failures = 0
	if r.took <= p.o.Fast {
		if full {
			p.limit = min(p.limit+1/p.limit, float64(p.o.MaxInFlight))
		}
		return
	}
	if r.round == p.round {
		p.limit = max(1, p.limit*0.9)
		p.round++
	}
}

// failed halves the limit and pauses. When nothing has succeeded since the last failure, one at a time is enough.
func (p *pace) failed(round int, now time.Time) {
	if round != p.round {
		return
	}
	p.round++
	p.limit = max(1, p.limit/2)
	if p.failures > 0 {
		p.limit = 1
	}
	p.failures++
	p.resume = now.Add(p.jittered(p.backoff(p.failures)))
}

// penalty keeps an entry that failed from being the next one offered, so that one that always fails blocks nothing.
func (p *pace) penalty(attempt int) time.Duration { return p.jittered(p.backoff(attempt)) }

func (p *pace) backoff(n int) time.Duration {
	d := p.o.FirstBackoff
	for i := 1; i < n && d < p.o.LastBackoff; i++ {
		d *= 2
	}
	return min(d, p.o.LastBackoff)
}

func (p *pace) jittered(d time.Duration) time.Duration {
	return d/2 + time.Duration(p.o.Random()*float64(d/2))
}
