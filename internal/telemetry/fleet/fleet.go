// Package fleet reads the figures of all processes from a Prometheus. Package series has those of
// its own process only.
package fleet

import (
	"cmp"
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
	// Points is how many points a series has, whatever time it covers.
	Points = 60
	// answersWithin is how long a page waits for Prometheus.
	answersWithin = 3 * time.Second
	// keptFor is how long an answer or an error is used again.
	keptFor = time.Minute
)

// Reader reads figures from a Prometheus. Make one with New. It is safe for concurrent use.
type Reader struct {
	address func() string
	client  *http.Client
	within  time.Duration
	now     func() time.Time

	mu   sync.Mutex
	kept map[int]*keptAnswer // by minutes
}

// keptAnswer is the last answer or error for one number of minutes.
type keptAnswer struct {
	mu      sync.Mutex
	address string
	at      time.Time
	figures *Figures
	err     error
}

// Options are what a Reader needs.
type Options struct {
	// Address returns the address of the Prometheus; empty means none. It is called each time,
	// because the configuration may change.
	Address func() string
	// Within is how long the Prometheus may take to answer; 0 means 3 s.
	Within time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// New makes a reader.
func New(o Options) *Reader {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Reader{address: o.Address, client: newClient(), within: cmp.Or(o.Within, answersWithin), now: o.Now, kept: map[int]*keptAnswer{}}
}

// Figures returns the figures of all processes over the latest minutes, at most a minute old. They
// are nil, without an error, if no Prometheus is configured. The error's text is for the page.
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

// ask makes all queries at once. If one fails, ask fails, because a page must not mix the figures
// of all processes with those of one.
func (r *Reader) ask(ctx context.Context, address string, minutes int) (*Figures, error) {
	// Other requests use the answer too, so the end of this request does not end the queries.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.within)
	defer cancel()
	f := newFigures(r.now(), minutes)
	all := append(queries(f.step), onceQueries(minutes)...)
	answers := make([][]apiSeries, len(all))
	g, ctx := errgroup.WithContext(ctx)
	for i, q := range all {
		g.Go(func() (err error) {
			answers[i], err = r.queryRange(ctx, address, q.text, f.window(q))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, q := range all {
		for _, one := range answers[i] {
			if q.collect != nil {
				q.collect(f, one.Metric, hoursOf(one, f.window(q)))
				continue
			}
			f.put(q, one)
		}
	}
	if !f.lived() {
		return nil, errors.New("it has no figures of grapnel; let it read /metrics of each process' admin listener")
	}
	return f, nil
}

// Figures are the series of all processes, with the names and methods of package series.
type Figures struct {
	start time.Time
	step  time.Duration
	// alive tells at which points some process ran.
	alive [Points]bool
	rows  map[string]*figureRow
	// sources tells how much each source has sent. hours is how many processes ran in each hour of
	// the last day, weekKnown whether one ran a week ago.
	sources   map[string]*series.Heard
	hours     []series.Point
	weekKnown bool
	// tries counts deliveries by bucket: those that took at most as many attempts as the key says.
	tries map[string]float64
}

type figureRow struct {
	values [Points]float64
	set    [Points]bool
	level  bool
}

func newFigures(now time.Time, minutes int) *Figures {
	step := time.Duration(max(minutes/Points, 1)) * time.Minute
	end := now.UTC().Truncate(time.Minute)
	return &Figures{
		start: end.Add(-(Points - 1) * step), step: step, rows: map[string]*figureRow{},
		sources: map[string]*series.Heard{}, tries: map[string]float64{},
	}
}

// window returns the points in time of a query.
func (f *Figures) window(q figureQuery) window {
	if q.collect == nil {
		return window{f.start, f.step, Points}
	}
	end := window{f.start, f.step, Points}.end()
	return window{end.Add(-time.Duration(q.span-1) * time.Hour), time.Hour, q.span}
}

// hoursOf returns an answer as points by the hour. A value of Prometheus at a time covers the hour
// before it.
func hoursOf(from apiSeries, w window) []series.Point {
	out := make([]series.Point, w.points)
	for i := range out {
		out[i].Time = w.start.Add(time.Duration(i-1) * w.step)
	}
	for _, s := range from.Values {
		i := int(math.Round(s.at.Sub(w.start).Seconds() / w.step.Seconds()))
		if i >= 0 && i < w.points && !math.IsNaN(s.value) && !math.IsInf(s.value, 0) {
			out[i].Value, out[i].Known = s.value, true
		}
	}
	return out
}

// Source tells how much a source has sent. An hour without its events is known, and 0, if some
// process ran in it.
func (f *Figures) Source(name string) series.Heard {
	h := series.Heard{}
	if known := f.sources[name]; known != nil {
		h = *known
	}
	h.WeekKnown = f.weekKnown
	w := f.window(figureQuery{collect: func(*Figures, map[string]string, []series.Point) {}, span: 24})
	day := hoursOf(apiSeries{}, w)
	for i := range day {
		if i < len(h.Day) {
			day[i] = h.Day[i]
		}
		day[i].Known = day[i].Known || i < len(f.hours) && f.hours[i].Value > 0
	}
	h.Day = day
	return h
}

// Tries counts deliveries by the attempts that they took, in the buckets of the metric.
func (f *Figures) Tries(int) []series.Tried {
	type bound struct {
		le    float64
		count float64
	}
	var bounds []bound
	for le, count := range f.tries {
		if v, err := strconv.ParseFloat(le, 64); err == nil {
			bounds = append(bounds, bound{v, count})
		}
	}
	slices.SortFunc(bounds, func(a, b bound) int { return cmp.Compare(a.le, b.le) })
	var all []series.Tried
	below, from := 0.0, 1
	for _, b := range bounds {
		one := series.Tried{Count: max(b.count-below, 0)}
		switch {
		case math.IsInf(b.le, 1):
			one.Attempts = strconv.Itoa(from) + " or more"
		case int(b.le) == from:
			one.Attempts = strconv.Itoa(from)
		default:
			one.Attempts = strconv.Itoa(from) + " to " + strconv.Itoa(int(b.le))
		}
		all = append(all, one)
		below = b.count
		if !math.IsInf(b.le, 1) {
			from = int(b.le) + 1
		}
	}
	return all
}

// put adds one series of an answer.
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

// add adds a series to the one of the same name.
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

// ByMinute returns all Points points of a series. The second argument is not used: the minutes were
// given to Reader.Figures.
func (f *Figures) ByMinute(name string, _ int) []series.Point {
	w := f.rows[name]
	out := make([]series.Point, Points)
	for i := range out {
		// A value of Prometheus at a time covers the step before it.
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

// Quantile returns a quantile of durations, in seconds. Known are q = 0.5 and 0.99 of answers, and
// 0.99 of routes.
func (f *Figures) Quantile(name string, q float64, n int) []series.Point {
	return f.ByMinute(quantile(name, q), n)
}

// Names returns the names of all series that begin with prefix, without it, sorted.
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
	return strings.HasPrefix(name, series.Shut) || strings.HasPrefix(name, "quantile ") || name == series.DeadAge || name == series.SpoolAge || name == series.Spool
}
