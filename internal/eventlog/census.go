package eventlog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Census is the open dead letters as they were counted at one time.
type Census struct {
	// At is when they were counted; zero before the first time.
	At time.Time
	// Fault is why they can't be counted now; what is shown is older then.
	Fault string
	// Rows are the dead letters, the latest first. More says that there are more
	// than Rows holds, and Count how many there are in all.
	Rows  []Row
	Count int
	More  bool
	// Unsettled is how many events are under way, Oldest since when the oldest is.
	Unsettled int64
	Oldest    time.Time
}

// Group is dead letters that have something in common.
type Group struct {
	// Key is what they have in common.
	Key         string
	Count       int
	First, Last time.Time
}

// The kinds of groups.
const (
	ByReason = "reason"
	ByRoute  = "route"
	BySource = "source"
	ByType   = "type"
	ByDay    = "day"
)

// Key is what a row has of a kind.
func (r Row) Key(by string) string {
	switch by {
	case ByRoute:
		return r.Route
	case BySource:
		return r.Source
	case ByType:
		return r.Source + "/" + r.Type
	case ByDay:
		return r.failed().UTC().Format(time.DateOnly)
	default:
		return r.Reason
	}
}

// Died is when a dead letter became one.
func (r Row) Died() time.Time {
	if r.Ended.IsZero() {
		return r.Started
	}
	return r.Ended
}

// failed is when a dead letter last failed, by which it is filtered.
func (r Row) failed() time.Time {
	if r.LastFailed.IsZero() {
		return r.Died()
	}
	return r.LastFailed
}

// Groups puts rows together, the largest group first.
func Groups(rows []Row, by string) []Group {
	at := map[string]int{}
	var groups []Group
	for _, r := range rows {
		key, died := r.Key(by), r.Died()
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key] = i
			groups = append(groups, Group{Key: key, First: died, Last: died})
		}
		g := &groups[i]
		g.Count++
		if died.Before(g.First) {
			g.First = died
		}
		if died.After(g.Last) {
			g.Last = died
		}
	}
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key)) })
	return groups
}

// Match tells whether a dead letter is what a filter means, as an operation judges it.
func (f Filter) Match(r Row) bool {
	last := r.failed()
	return f.says(r) && (f.Since.IsZero() || !last.Before(f.Since)) && (f.Until.IsZero() || last.Before(f.Until))
}

// Counter counts the dead letters now and then, so that metrics, alerts and pages
// need not list them each time.
type Counter struct {
	log *Log
	now func() time.Time

	mu   sync.Mutex
	last Census
}

// NewCounter makes one; a nil clock is the system's.
func NewCounter(l *Log, now func() time.Time) *Counter {
	if now == nil {
		now = time.Now
	}
	return &Counter{log: l, now: now}
}

// Last is the last count.
func (c *Counter) Last() Census {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

const (
	// maxRows is how many dead letters are kept; a few MB.
	maxRows = 10_000
	// listEvery is how long a list is believed while the count stays the same.
	listEvery = time.Minute
)

// Count counts them anew. A count is cheap; they are listed when it has changed,
// and now and then.
func (c *Counter) Count(ctx context.Context) Census {
	next, err := c.count(ctx, c.Last())
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.last.Fault = err.Error()
		return c.last
	}
	c.last = next
	return next
}

func (c *Counter) count(ctx context.Context, last Census) (Census, error) {
	now := c.now().UTC()
	n, err := c.log.Count(ctx, Filter{State: Dead})
	if err != nil {
		return last, err
	}
	next := Census{At: now, Rows: last.Rows, Count: int(n), More: last.More}
	if int(n) != last.Count || now.Sub(last.At.Truncate(listEvery)) >= listEvery {
		if next.Rows, next.More, err = c.log.List(ctx, Filter{State: Dead, Limit: maxRows}); err != nil {
			return last, fmt.Errorf("count the dead letters: %w", err)
		}
		if !next.More {
			next.Count = len(next.Rows)
		}
	}
	next.Unsettled, next.Oldest, err = c.log.OldestRunning(ctx)
	return next, err
}

// OldestDeath is when the oldest became a dead letter; zero without any.
func (c Census) OldestDeath() (oldest time.Time) {
	for _, r := range c.Rows {
		if died := r.Died(); oldest.IsZero() || died.Before(oldest) {
			oldest = died
		}
	}
	return oldest
}
