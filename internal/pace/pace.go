// Package pace learns how much at once somebody else takes easily, and leaves
// them alone while they take nothing.
package pace

import (
	"math/rand/v2"
	"time"
)

// Options bound a pace. The zero value is good.
type Options struct {
	// Most is the highest number at once; zero means 64.
	Most int
	// First is the number to begin with; zero means 1.
	First int
	// Fast is the time within which an answer counts as easy; zero means 50 ms.
	Fast time.Duration
	// FirstBackoff and LastBackoff bound the pause after a failure, which doubles
	// from one to the other while nothing succeeds; zero means 100 ms and 15 s.
	// The pause is drawn at random between half and all of it.
	FirstBackoff, LastBackoff time.Duration
	// Random gives numbers in [0, 1) for that; nil means math/rand.
	Random func() float64
}

// Pace decides how many may be under way: additive increase, multiplicative
// decrease, as TCP does it (Chiu and Jain, 1989), and a pause that doubles while
// nothing succeeds. A round is the time between two decreases; bad news from
// before the last decrease is old news and decreases nothing. It is not safe for
// concurrent use.
type Pace struct {
	o        Options
	limit    float64
	round    int
	failures int // rounds that failed since the last success
	resume   time.Time
}

const (
	defaultMost         = 64
	defaultFast         = 50 * time.Millisecond
	defaultFirstBackoff = 100 * time.Millisecond
	defaultLastBackoff  = 15 * time.Second
	longestPause        = time.Minute
)

// New makes a pace.
func New(o Options) *Pace {
	if o.Most <= 0 {
		o.Most = defaultMost
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
	return &Pace{o: o, limit: float64(min(max(o.First, 1), o.Most))}
}

// Round is what Succeeded and Failed want to know of the time something began.
func (p *Pace) Round() int { return p.round }

// Limit is how many may be under way.
func (p *Pace) Limit() int { return int(p.limit) }

// Room is how many may begin now, given how many are under way.
func (p *Pace) Room(now time.Time, underWay int) int {
	if now.Before(p.resume) {
		return 0
	}
	return int(p.limit) - underWay
}

// Pause is how long at most to wait before Room is asked again.
func (p *Pace) Pause(now time.Time) time.Duration {
	if wait := p.resume.Sub(now); wait > 0 {
		return wait
	}
	return longestPause
}

// Succeeded raises the limit when it was in use, and lowers it when the answer
// was slow.
func (p *Pace) Succeeded(round int, took time.Duration, full bool) {
	p.failures = 0
	if took <= p.o.Fast {
		if full {
			p.limit = min(p.limit+1/p.limit, float64(p.o.Most))
		}
		return
	}
	if round == p.round {
		p.limit = max(1, p.limit*0.9)
		p.round++
	}
}

// Failed halves the limit and pauses. When nothing has succeeded since the last
// failure, one at a time is enough.
func (p *Pace) Failed(round int, now time.Time) {
	if round != p.round {
		return
	}
	p.round++
	p.limit = max(1, p.limit/2)
	if p.failures > 0 {
		p.limit = 1
	}
	p.failures++
	p.resume = now.Add(p.Backoff(p.failures))
}

// Backoff is the pause after the nth failure in a row, drawn at random.
func (p *Pace) Backoff(n int) time.Duration {
	d := p.o.FirstBackoff
	for i := 1; i < n && d < p.o.LastBackoff; i++ {
		d *= 2
	}
	d = min(d, p.o.LastBackoff)
	return d/2 + time.Duration(p.o.Random()*float64(d/2))
}
