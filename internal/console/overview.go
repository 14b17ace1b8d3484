package console

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// rangeOf is how far back the plots go: its name and minutes.
func rangeOf(r *http.Request) (name string, minutes int) {
	switch r.URL.Query().Get("range") {
	case "6h":
		return "6h", 6 * 60
	case "24h":
		return "24h", 24 * 60
	default:
		return "1h", 60
	}
}

// binsOf is how many bars a plot has.
const binsOf = 60

// overviewData is what the first page shows.
type overviewData struct {
	Range  string
	Whose  figuresOwner
	Flow   Plot
	Totals []flowFigure
	Ages   Plot
	Answer Plot
	// Limit is the share of answers over a second.
	Slow     string
	Silence  []sourceSilence
	Matrix   deadMatrix
	Tries    Plot
	Routes   []routeLine
	Letters  eventlog.Census
	Oldest   time.Time
	Spool    float64
	Recent   []Operation
	NoSeries bool
}

// flowFigure is one number of the flow, with its colour and where it leads.
type flowFigure struct {
	Name, Class, Href string
	Value             float64
}

func (c *Console) overview(r *http.Request) (any, error) {
	name, minutes := rangeOf(r)
	from, whose := c.figures(r.Context(), minutes)
	d := overviewData{Range: name, Whose: whose}
	c.flow(&d, from, minutes)
	if c.Letters != nil {
		d.Letters = c.Letters()
		d.Oldest = d.Letters.OldestDeath()
		d.Matrix = matrixOf(d.Letters.Rows)
	}
	c.ages(&d, from, minutes)
	c.tries(&d, minutes)
	d.Silence = c.silence()
	d.Routes = c.routes(from, minutes)
	if c.Operator != nil {
		if ops, err := c.Operator.Operations(r.Context()); err == nil {
			d.Recent = ops[:min(len(ops), 5)]
		}
	}
	return d, nil
}

// flow draws what came in and what became of it.
func (c *Console) flow(d *overviewData, from figures, minutes int) {
	kinds := []struct {
		name, class, state string
		points             []series.Point
	}{
		{"handled", "good", "handled", sumOf(from, series.Handled, minutes)},
		{"duplicate", "calm", "", addSeries(from.ByMinute(series.Outcome+"duplicate", minutes), from.ByMinute(series.Outcome+"abandoned", minutes))},
		{"refused", "warn", "", sumOf(from, series.Refused, minutes)},
		{"dead", "bad", "dead", sumOf(from, series.Died, minutes)},
	}
	received := sumOf(from, series.Received, minutes)
	d.Totals = append(d.Totals, flowFigure{"received", "", "/events", sumPoints(received)})
	var stacked []plotBar
	for i, b := range binPoints(received, binsOf, false) {
		end := b.Time.Add(time.Duration(minutes/binsOf) * time.Minute)
		stacked = append(stacked, plotBar{
			gap:   !b.Known,
			href:  linkTo("/events", "since", b.Time.Format(time.RFC3339), "until", end.Format(time.RFC3339)),
			title: fmt.Sprintf("%s: received %s", clockText(b.Time, c.Now()), numberText(b.Value)),
		})
		if !b.Known {
			stacked[i].title = clockText(b.Time, c.Now()) + ": not known"
		}
	}
	for _, k := range kinds {
		href := "/sources"
		if k.state != "" {
			href = linkTo("/events", "state", k.state)
		}
		if k.state == "dead" {
			href = "/dead-letters"
		}
		d.Totals = append(d.Totals, flowFigure{k.name, k.class, href, sumPoints(k.points)})
		for i, b := range binPoints(k.points, binsOf, false) {
			stacked[i].parts = append(stacked[i].parts, barPart{k.class, b.Value})
			stacked[i].title += fmt.Sprintf(", %s %s", k.name, numberText(b.Value))
		}
	}
	d.Flow = barPlot("Events by the minute: handled, duplicate, refused and dead", stacked).span(received, c.Now())
}

// ages draws what waits, and how fast senders are answered. What is under way is
// counted in Temporal, for all processes, so that our own series tells it.
func (c *Console) ages(d *overviewData, from figures, minutes int) {
	dead := from.ByMinute(series.DeadAge, minutes)
	d.Ages = linePlot("Age of the oldest: dead letter, event under way, event on disk", 0, secondsText,
		plotLine{"bad", dead}, plotLine{"good", c.Series.ByMinute(series.RunningAge, minutes)},
		plotLine{"warn", from.ByMinute(series.SpoolAge, minutes)}).span(dead, c.Now())
	half := from.Quantile(series.Answer, .5, minutes)
	d.Answer = linePlot("Answer time: half of the answers, and 99 of 100, against the second that the most impatient senders give", 1, secondsText,
		plotLine{"good", half}, plotLine{"warn", from.Quantile(series.Answer, .99, minutes)}).span(half, c.Now())
	if d.Spool = c.onDisk(); d.Whose.All {
		d.Spool = latestValue(from.ByMinute(series.Spool, minutes))
	}
}

// tries draws how many attempts deliveries took. The buckets of the metric are
// coarser than the bars, so it is of this process always.
func (c *Console) tries(d *overviewData, minutes int) {
	var tries []plotBar
	for n := 1; n <= 10; n++ {
		v := c.Series.Total(series.Tries+strconv.Itoa(n), minutes)
		class := "good"
		if n > 1 {
			class = "warn"
		}
		tries = append(tries, plotBar{title: fmt.Sprintf("%d attempts: %s deliveries", n, numberText(v)), parts: []barPart{{class, v}}})
	}
	d.Tries = barPlot("Attempts until success", tries)
	d.Tries.Left, d.Tries.Right = "1 attempt", "10 or more"
}

// sourceSilence compares a source with itself a week ago.
type sourceSilence struct {
	Name       string
	Hour, Week float64
	// Known is unset where the process did not run a week ago.
	Known bool
	Last  time.Time
	// Quiet marks a source that should have sent.
	Quiet bool
	Line  Plot
}

func (c *Console) silence() []sourceSilence {
	if c.Sources == nil {
		return nil
	}
	var all []sourceSilence
	for _, s := range c.Sources() {
		hours := c.Series.ByHour(series.Received+s.Name, 7*24+2)
		x := sourceSilence{Name: s.Name, Last: s.Last, Hour: c.Series.Total(series.Received+s.Name, 60), Week: hours[1].Value, Known: hours[1].Known}
		x.Quiet = x.Known && x.Hour == 0 && x.Week >= 20
		day := hours[len(hours)-24:]
		x.Line = linePlot(s.Name+" by the hour of the last day", 0, numberText, plotLine{"good", day})
		all = append(all, x)
	}
	return all
}

// deadMatrix is the dead letters by reason and source.
type deadMatrix struct {
	Sources []string
	Rows    []matrixRow
	// Rest is how many are in reasons that are not shown.
	Rest int
}

type matrixRow struct {
	Reason string
	Total  int
	Cells  []matrixCell
}

type matrixCell struct {
	Count int
	Href  string
	// Heat is from 0 to 4, for the colour.
	Heat int
}

// maxReasons and maxSources bound the matrix.
const (
	maxReasons = 8
	maxSources = 8
)

func matrixOf(rows []eventlog.Row) deadMatrix {
	var m deadMatrix
	for _, g := range eventlog.Groups(rows, eventlog.BySource) {
		if len(m.Sources) < maxSources {
			m.Sources = append(m.Sources, g.Key)
		}
	}
	counts := map[[2]string]int{}
	most := 0
	for _, r := range rows {
		k := [2]string{r.Reason, r.Source}
		counts[k]++
		most = max(most, counts[k])
	}
	for i, g := range eventlog.Groups(rows, eventlog.ByReason) {
		if i >= maxReasons {
			m.Rest += g.Count
			continue
		}
		row := matrixRow{Reason: g.Key, Total: g.Count}
		for _, s := range m.Sources {
			n := counts[[2]string{g.Key, s}]
			x := matrixCell{Count: n, Href: linkTo("/dead-letters", "reason", g.Key, "source", s)}
			if n > 0 {
				x.Heat = 1 + 3*n/most
			}
			row.Cells = append(row.Cells, x)
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

// routeLine is one route over time.
type routeLine struct {
	Name, State, Why string
	Since            time.Time
	routeFigures
	// Destination says that it is one, with a page of its own.
	Destination bool
}

// routeFigures are what became of the attempts at a route, and how slow they were.
type routeFigures struct {
	Done, Bad, Deferred float64
	Slow                string
	Plot                Plot
}

// routes are all routes that were tried of late, and all destinations.
func (c *Console) routes(from figures, minutes int) []routeLine {
	destinations := map[string]Destination{}
	if c.Destinations != nil {
		for _, d := range c.Destinations() {
			destinations[d.Name] = d
		}
	}
	names := map[string]bool{}
	for name := range destinations {
		names[name] = true
	}
	for _, r := range attemptResults {
		for _, name := range from.Names(series.Attempt + r.result + ":") {
			names[name] = true
		}
	}
	var all []routeLine
	for _, name := range sortedKeys(names) {
		d, isDestination := destinations[name]
		l := routeLine{Name: name, Destination: isDestination, State: d.State, Why: d.Why, Since: d.Since}
		l.routeFigures = c.routeFigures(from, name, minutes)
		all = append(all, l)
	}
	return all
}

// attemptResults are the results that an attempt can have, from the bottom of a bar to its top, and
// the class of the colour of each.
var attemptResults = [...]struct{ result, class string }{
	{"done", "good"}, {"deferred", "calm"}, {"failed", "warn"}, {"timeout", "warn"}, {"permanent", "bad"}, {"panic", "bad"},
}

func (c *Console) routeFigures(from figures, name string, minutes int) routeFigures {
	alive := binPoints(sumOf(from, series.Outcome, minutes), binsOf/2, false)
	stack := make([]plotBar, len(alive))
	for i, p := range alive {
		stack[i] = plotBar{gap: !p.Known, title: clockText(p.Time, c.Now())}
	}
	f := routeFigures{Slow: slowAttempts(from, name, minutes)}
	for _, r := range attemptResults {
		for i, p := range binPoints(from.ByMinute(series.Attempt+r.result+":"+name, minutes), binsOf/2, false) {
			stack[i].parts = append(stack[i].parts, barPart{r.class, p.Value})
			if p.Value > 0 {
				stack[i].title += fmt.Sprintf(", %s %s", r.result, numberText(p.Value))
			}
			switch r.result {
			case "done":
				f.Done += p.Value
			case "deferred":
				f.Deferred += p.Value
			default:
				f.Bad += p.Value
			}
		}
	}
	f.Plot = barPlot("Attempts at "+name, stack)
	return f
}

// slowAttempts is the time within which 99 of 100 attempts at a route ended.
func slowAttempts(from figures, route string, minutes int) string {
	worst := 0.0
	for _, p := range from.Quantile(series.Route+route, .99, minutes) {
		worst = max(worst, p.Value)
	}
	if worst == 0 {
		return ""
	}
	return "≤ " + secondsText(worst)
}

func sumPoints(points []series.Point) (total float64) {
	for _, p := range points {
		total += p.Value
	}
	return total
}
