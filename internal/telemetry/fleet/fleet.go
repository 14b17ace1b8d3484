// Package fleet reads from a Prometheus what all processes together did over time,
// where package series knows of the process that it is in alone.
package fleet

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grapnel/grapnel/internal/telemetry/series"
)

const (
	// Points is how many points a series has, however long the stretch of time is.
	Points = 60
	// answersWithin is how long a page waits for Prometheus.
	answersWithin = 3 * time.Second
	// keptFor is how long an answer, or that there was none, is shown again.
	keptFor = time.Minute
)

// Reader asks a Prometheus. Make one with New. It is safe for concurrent use.
type Reader struct {
	address func() string
	client  *http.Client
	within  time.Duration
	now     func() time.Time

	mu   sync.Mutex
	kept map[int]*keptAnswer // by minutes
}

// keptAnswer is what was last learned about a stretch of time.
type keptAnswer struct {
	mu      sync.Mutex
	address string
	at      time.Time
	figures *Figures
	err     error
}

// New makes a reader of the Prometheus at an address, which is asked for anew each
// time: the configuration may change. An empty one is none. A nil clock is the
// system's.
func New(address func() string, now func() time.Time) *Reader {
	if now == nil {
		now = time.Now
	}
	return &Reader{address: address, client: newClient(), within: answersWithin, now: now, kept: map[int]*keptAnswer{}}
}

// Figures gives what all processes did in the latest minutes, at most a minute old.
// It is nil without an error where no Prometheus is named. The error is written for
// the one who looks at the page.
func (r *Reader) Figures(ctx context.Context, minutes int) (*Figures, error) {
	address := r.address()
	if address == "" {
		return nil, nil
	}
	r.mu.Lock()
	k := r.kept[minutes]
	if k == nil {
		k = &keptAnswer{}
		r.kept[minutes] = k
	}
	r.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	now := r.now()
	if k.address == address && now.Sub(k.at).Abs() < keptFor {
		return k.figures, k.err
	}
	k.figures, k.err = r.ask(ctx, address, minutes)
	k.address, k.at = address, now
	return k.figures, k.err
}

// ask makes all queries at once. One that fails makes all of them fail: half of a
// page from here and half from there would compare what can't be compared.
func (r *Reader) ask(ctx context.Context, address string, minutes int) (*Figures, error) {
	// What is learned is kept for others, so that it doesn't end with this request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.within)
	defer cancel()
	f := newFigures(r.now(), minutes)
	all := queries(f.step)
	answers := make([][]apiSeries, len(all))
	g, ctx := errgroup.WithContext(ctx)
	for i, q := range all {
		g.Go(func() (err error) {
			answers[i], err = r.queryRange(ctx, address, q.text, f)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, q := range all {
		for _, one := range answers[i] {
			f.put(q, one)
		}
	}
	if !f.lived() {
		return nil, errors.New("it has no figures of grapnel; let it read /metrics of each process' admin listener")
	}
	return f, nil
}

// Figures are the series of all processes. They have the names that they have in
// package series, and are read in the same way.
type Figures struct {
	start time.Time
	step  time.Duration
	// alive tells at which points some process lived.
	alive [Points]bool
	rows  map[string]*figureRow
}

type figureRow struct {
	values [Points]float64
	set    [Points]bool
	level  bool
}

func newFigures(now time.Time, minutes int) *Figures {
	step := time.Duration(max(minutes/Points, 1)) * time.Minute
	end := now.UTC().Truncate(time.Minute)
	return &Figures{start: end.Add(-(Points - 1) * step), step: step, rows: map[string]*figureRow{}}
}

// put takes one series of an answer in.
func (f *Figures) put(q figureQuery, from apiSeries) {
	name := q.name(from.Metric)
	w := &figureRow{level: q.level}
	for _, s := range from.Values {
		i := int(math.Round(s.at.Sub(f.start).Seconds() / f.step.Seconds()))
		if i < 0 || i >= Points || math.IsNaN(s.value) || math.IsInf(s.value, 0) {
			continue
		}
		if name == "" {
			f.alive[i] = f.alive[i] || s.value > 0
			continue
		}
		w.values[i], w.set[i] = s.value, true
	}
	if name != "" {
		f.add(name, w)
	}
	if q.also != nil {
		if other := q.also(from.Metric); other != "" {
			f.add(other, w)
		}
	}
}

// add adds to a series what others of the same name say.
func (f *Figures) add(name string, w *figureRow) {
	into := f.rows[name]
	if into == nil {
		into = &figureRow{level: w.level}
		f.rows[name] = into
	}
	for i := range w.values {
		into.values[i] += w.values[i]
		into.set[i] = into.set[i] || w.set[i]
	}
}

func (f *Figures) lived() bool { return f.alive != [Points]bool{} }

// ByMinute gives the points of a series, each of the step that the stretch of time
// has; it does not matter how many minutes are asked for.
func (f *Figures) ByMinute(name string, _ int) []series.Point {
	w := f.rows[name]
	out := make([]series.Point, Points)
	for i := range out {
		// What Prometheus says of a time is about the step before it.
		p := series.Point{Time: f.start.Add(time.Duration(i-1) * f.step), Known: f.alive[i]}
		if w != nil && w.set[i] {
			p.Value = w.values[i]
		}
		if w == nil && isLevel(name) || w != nil && w.level {
			p.Known = w != nil && w.set[i]
		}
		out[i] = p
	}
	return out
}

// Quantile gives a quantile of durations in seconds; the half of the answers, and 99
// of 100 of all, are known.
func (f *Figures) Quantile(name string, q float64, n int) []series.Point {
	return f.ByMinute(quantile(name, q), n)
}

// Names gives what follows a prefix in the names of the series, sorted.
func (f *Figures) Names(prefix string) []string {
	var names []string
	for name := range f.rows {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

// quantile is the name of the series of a quantile.
func quantile(name string, q float64) string {
	return "quantile " + strconv.FormatFloat(q, 'g', -1, 64) + " " + name
}

func isLevel(name string) bool {
	return strings.HasPrefix(name, "quantile ") || name == series.DeadAge || name == series.SpoolAge || name == series.Spool
}
