// Package series keeps figures over time within the process: by the minute for a day, and by the
// hour for 15 days. A small file makes them survive a restart.
//
// A Point of a time in which the process did not run is not known, which is different from zero.
package series

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The extent of what is kept.
const (
	// Minutes is how many minutes are kept.
	Minutes = 24 * 60
	// Hours is how many hours are kept: two weeks, to compare with the week before, and a day more.
	Hours = 15 * 24
	// maxRows bounds the number of series. Their names come from the configuration and the code, so
	// this only limits the damage of a bug.
	maxRows = 1500
)

// Point is the value of one minute or hour.
type Point struct {
	Time  time.Time
	Value float64
	// Known is unset if the process did not run, or if no value of a level was recorded.
	Known bool
}

// mergeMode is how the values of one minute are merged.
type mergeMode byte

const (
	mergeSum  mergeMode = 's' // counts are added
	mergeMost mergeMode = 'm' // the largest value is kept
	mergeLast mergeMode = 'l' // the latest value is kept
)

// Set is a set of series. Make one with New. It is safe for concurrent use.
type Set struct {
	now  func() time.Time
	path string

	mu      sync.Mutex
	minutes *tier
	hours   *tier
	// pending is what was recorded since the file was last written, by minute.
	pending []fileLine
	file    *os.File
	lines   int
}

// New makes a set in memory. If now is nil, it is time.Now.
func New(now func() time.Time) *Set {
	if now == nil {
		now = time.Now
	}
	return &Set{now: now, minutes: newTier(time.Minute, Minutes), hours: newTier(time.Hour, Hours)}
}

// Keep reads the file, and keeps the set in it from now on. Of a damaged file it reads what it can.
// Call it once, before anything is counted.
func (s *Set) Keep(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.path = path
	if err := s.load(); err != nil {
		return fmt.Errorf("read the series of %s: %w", path, err)
	}
	if err := s.compact(); err != nil {
		return fmt.Errorf("write the series to %s: %w", path, err)
	}
	return nil
}

// Add adds to a count.
func (s *Set) Add(name string, n float64) { s.put(name, mergeSum, n) }

// Most keeps the largest value of each minute.
func (s *Set) Most(name string, v float64) { s.put(name, mergeMost, v) }

// Level keeps the latest value of each minute.
func (s *Set) Level(name string, v float64) { s.put(name, mergeLast, v) }

// Alive records that the process runs in this minute, so that a count without values is zero, not
// unknown.
func (s *Set) Alive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line(s.now())
	s.minutes.at(s.now())
	s.hours.at(s.now())
}

func (s *Set) put(name string, m mergeMode, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if !s.minutes.put(now, name, m, v) {
		return
	}
	s.hours.put(now, name, m, v)
	if s.path != "" {
		s.line(now).put(name, m, v)
	}
}

// line returns the pending line of a minute.
func (s *Set) line(t time.Time) *fileLine {
	unit := t.Unix() / 60
	if n := len(s.pending); n == 0 || s.pending[n-1].Unit != unit {
		if len(s.pending) >= Minutes { // The disk has failed for a day.
			s.pending = s.pending[1:]
		}
		s.pending = append(s.pending, fileLine{Unit: unit})
	}
	return &s.pending[len(s.pending)-1]
}

// ByMinute returns the n latest minutes of a series, from the oldest to the present one.
func (s *Set) ByMinute(name string, n int) []Point { return s.points(s.minutes, name, n) }

// ByHour returns the n latest hours of a series, from the oldest to the present one.
func (s *Set) ByHour(name string, n int) []Point { return s.points(s.hours, name, n) }

func (s *Set) points(t *tier, name string, n int) []Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.points(s.now(), name, min(n, t.size))
}

// Total is the sum of the n latest minutes.
func (s *Set) Total(name string, n int) float64 {
	var total float64
	for _, p := range s.ByMinute(name, n) {
		total += p.Value
	}
	return total
}

// Names returns the names of all series that begin with prefix, without it, sorted.
func (s *Set) Names(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.minutes.rows {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

// tier is a ring of values, one for each step of time.
type tier struct {
	step time.Duration
	size int
	// units is the step that each place holds now. If it is not the expected one, the process did
	// not run in that step.
	units []int64
	rows  map[string]*tierRow
}

type tierRow struct {
	mode   mergeMode
	values []float32
	set    []bool
}

func newTier(step time.Duration, size int) *tier {
	return &tier{step: step, size: size, units: make([]int64, size), rows: map[string]*tierRow{}}
}

func (t *tier) unit(at time.Time) int64 { return at.Unix() / int64(t.step/time.Second) }

// at returns the place of a time, and clears it if it held an older step. It is -1 for a time
// before the ring's oldest step.
func (t *tier) at(when time.Time) int {
	unit := t.unit(when)
	i := int(unit % int64(t.size))
	switch {
	case t.units[i] > unit:
		return -1
	case t.units[i] < unit:
		t.units[i] = unit
		for _, r := range t.rows {
			r.values[i], r.set[i] = 0, false
		}
	}
	return i
}

// put records a value. It returns false if there is no room for another series, or if the time is
// too old.
func (t *tier) put(when time.Time, name string, m mergeMode, v float64) bool {
	i := t.at(when)
	if i < 0 {
		return false
	}
	r, ok := t.rows[name]
	if !ok {
		if len(t.rows) >= maxRows {
			return false
		}
		r = &tierRow{mode: m, values: make([]float32, t.size), set: make([]bool, t.size)}
		t.rows[strings.Clone(name)] = r
	}
	switch {
	case r.mode == mergeSum:
		r.values[i] += float32(v)
	case r.mode == mergeLast || !r.set[i]:
		r.values[i] = float32(v)
	default:
		r.values[i] = max(r.values[i], float32(v))
	}
	r.set[i] = true
	return true
}

func (t *tier) points(now time.Time, name string, n int) []Point {
	r, end := t.rows[name], t.unit(now)
	out := make([]Point, n)
	for k := range out {
		unit := end - int64(n-1-k)
		i := int(unit % int64(t.size))
		p := Point{Time: time.Unix(unit*int64(t.step/time.Second), 0).UTC(), Known: t.units[i] == unit}
		if p.Known && r != nil {
			p.Value = float64(r.values[i])
		}
		// A count without values is zero; a level without values is unknown.
		if r == nil || r.mode != mergeSum {
			p.Known = p.Known && r != nil && r.set[i]
		}
		out[k] = p
	}
	return out
}

// The names of the series. A name that ends in a colon is a prefix; a source, a route, an outcome
// or a reason follows it.
const (
	// Outcome counts requests at the receiver by how they were answered.
	Outcome = "outcome:"
	// Received counts verified requests of a source, Refused the refused ones.
	Received = "received:"
	Refused  = "refused:"
	// Handled and Died count events of a source by how they ended.
	Handled = "handled:"
	Died    = "died:"
	// Reason counts new dead letters by their reason.
	Reason = "reason:"
	// Attempt counts attempts at a route that ended in a result: "attempt:done:crm".
	Attempt = "attempt:"
	// Shut is the state that kept events from a destination: one of the values below.
	Shut = "shut:"
	// Tries counts deliveries by how many attempts they took.
	Tries = "tries:"
	// Answer are the durations of answers, Route those of the attempts at a route; see Took.
	Answer = "answer"
	Route  = "route:"
	// DeadLetters is how many dead letters are open, DeadAge the age of the oldest in seconds.
	DeadLetters = "dead letters"
	DeadAge     = "dead letters age"
	// Spool is how many events wait on disk, SpoolAge the age of the oldest in seconds.
	Spool    = "spool"
	SpoolAge = "spool age"
	// Running is how many events are under way, RunningAge the age of the oldest in seconds.
	Running    = "running"
	RunningAge = "running age"
)

// The values of Shut; a higher one is worse.
const (
	ShutNot    = 0 // it works
	ShutTrying = 1 // its circuit breaker lets single deliveries through to test it
	ShutOpen   = 2 // its circuit breaker is open
	ShutPaused = 3 // somebody has paused it
)

// MaxTries is the number of attempts from which on deliveries are counted together.
const MaxTries = 10

// Tried counts the deliveries that took the same number of attempts.
type Tried struct {
	// Attempts is that number as text, for example "2" or "10 or more".
	Attempts string
	Count    float64
}

// Tries counts the deliveries of the n latest minutes by the attempts that they took.
func (s *Set) Tries(n int) []Tried {
	var all []Tried
	for k := 1; k <= MaxTries; k++ {
		one := Tried{Attempts: strconv.Itoa(k), Count: s.Total(Tries+strconv.Itoa(k), n)}
		if k == MaxTries {
			one.Attempts += " or more"
		}
		all = append(all, one)
	}
	return all
}

// Heard tells how much a source has sent, and when.
type Heard struct {
	// Hour is the number of events of the last hour, Week that of the same hour a week ago.
	// WeekKnown is unset if the process did not run then.
	Hour, Week float64
	WeekKnown  bool
	// Day are the hours of the last day.
	Day []Point
	// Last is when its last event came in; zero if that is not known.
	Last time.Time
}

// Source tells how much a source has sent. It leaves Last zero.
func (s *Set) Source(name string) Heard {
	hours := s.ByHour(Received+name, 7*24+2)
	return Heard{Hour: s.Total(Received+name, 60), Week: hours[1].Value, WeekKnown: hours[1].Known, Day: hours[len(hours)-24:]}
}
