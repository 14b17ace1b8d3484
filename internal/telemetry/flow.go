package telemetry

import (
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// Flow counts what happens to events in all places that show it: metrics, series and health. It is
// safe for concurrent use.
type Flow struct {
	metrics *Metrics
	stats   *Stats
	series  *series.Set
	now     func() time.Time

	mu   sync.Mutex
	last map[string]time.Time // by source
}

// NewFlow makes a Flow. If now is nil, it is time.Now.
func NewFlow(m *Metrics, s *Stats, set *series.Set, now func() time.Time) (*Flow, error) {
	if now == nil {
		now = time.Now
	}
	f := &Flow{metrics: m, stats: s, series: set, now: now, last: map[string]time.Time{}}
	return f, m.Observe(MetricLastEvent, func(say func(float64, ...string)) {
		for source, at := range f.LastEvents() {
			say(float64(at.Unix()), source)
		}
	})
}

// Series returns the series in which it counts.
func (f *Flow) Series() *series.Set { return f.series }

// Refused counts a request that the receiver refused.
func (f *Flow) Refused(source, outcome string, took time.Duration) {
	f.metrics.Refused(source, outcome, took)
	f.answeredIn(outcome, took)
	f.series.Add(series.Refused+f.metrics.labels.Load().source(source), 1)
}

// Ignored counts a request that was accepted and leads to no event: a handshake, or an event that
// its source does not want.
func (f *Flow) Ignored(source, outcome string, took time.Duration) { f.answered(source, outcome, took) }

// Received counts a verified event that is durable now.
func (f *Flow) Received(source, outcome string, took time.Duration) {
	f.answered(source, outcome, took)
	f.stats.Received()
	f.metrics.Started(outcome, took)
	f.heard(source)
}

// Repeated counts a verified event that was seen before.
func (f *Flow) Repeated(source, outcome string, took time.Duration) {
	f.answered(source, outcome, took)
	f.stats.Received()
	f.stats.Duplicate()
	f.heard(source)
}

func (f *Flow) answered(source, outcome string, took time.Duration) {
	f.metrics.Received(source, outcome, took)
	f.answeredIn(outcome, took)
}

func (f *Flow) answeredIn(outcome string, took time.Duration) {
	f.series.Add(series.Outcome+outcome, 1)
	f.series.Took(series.Answer, took)
}

func (f *Flow) heard(source string) {
	f.series.Add(series.Received+source, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last[source] = f.now()
}

// LastEvents returns when the last verified event of each source came in.
func (f *Flow) LastEvents() map[string]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.last)
}

// Handled counts an event that all routes have handled.
func (f *Flow) Handled(source string, took time.Duration) {
	f.stats.Processed(took)
	f.metrics.Processed(source, took)
	f.series.Add(series.Handled+source, 1)
}

// Recovered counts a dead letter that was replayed and is handled now. took is the time since its
// replay.
func (f *Flow) Recovered(source string, took time.Duration) {
	f.stats.Recovered(took)
	f.metrics.Processed(source, took)
	f.series.Add(series.Handled+source, 1)
}

// Died counts an event that became a dead letter, for the reasons given.
func (f *Flow) Died(source string, took time.Duration, reasons ...string) {
	f.stats.Failed(took)
	f.metrics.Failed(source, took)
	f.series.Add(series.Died+source, 1)
	for _, r := range reasons {
		f.metrics.DeadLetter(source, r)
		f.series.Add(series.Reason+r, 1)
	}
}

// Attempted counts an attempt at a route, the nth of its event.
func (f *Flow) Attempted(route, result string, n int, took time.Duration) {
	f.metrics.Attempted(route, result, took)
	f.series.Add(series.Attempt+result+":"+route, 1)
	f.series.Took(series.Route+route, took)
	if result == "done" {
		f.metrics.Attempts(n)
		f.series.Add(series.Tries+strconv.Itoa(min(n, series.MaxTries)), 1)
	}
}

// Shut records the state that keeps events from a destination; shut is one of the Shut… values of
// package series.
func (f *Flow) Shut(destination string, shut int) {
	f.series.Most(series.Shut+destination, float64(shut))
}
