package console

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// rangeOf reads how far back the plots go: the name of the range, and its minutes.
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

// plotBins is how many bars a plot has.
const plotBins = 60

// overviewData is what the first page shows.
type overviewData struct {
	Range   string
	Whose   figuresOwner
	Flow    Plot
	Totals  []flowFigure
	Ages    Plot
	Answer  Plot
	Silence []sourceSilence
	Matrix  deadMatrix
	Tries   Plot
	Routes  []routeLine
	Letters eventlog.Census
	Oldest  time.Time
	Spool   float64
	Recent  []Operation
}

// flowFigure is one number of the flow, with its CSS class and its link.
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
	c.tries(&d, from, minutes)
	d.Silence = c.silence(from)
	d.Routes = c.routes(from, minutes)
	if c.Operator != nil {
		if ops, err := c.Operator.Operations(r.Context()); err == nil {
			d.Recent = ops[:min(len(ops), 5)]
		}
	}
	return d, nil
}

// during makes a link to the part of a list between two times.
func during(path string, from, until time.Time, pairs ...string) string {
	return linkTo(path, append(pairs, "since", from.Format(time.RFC3339), "until", until.Format(time.RFC3339))...)
}

// flow draws how many events came in and what became of them.
func (c *Console) flow(d *overviewData, from figures, minutes int) {
	// Repeats and refused requests are in no list of events. Repeats link to the events of the same
	// time, refused requests to the page of sources, which shows them by cause.
	kinds := []struct {
		name, class, path, state string
		points                   []series.Point
	}{
		{"handled", "good", "/events", "handled", sumOf(from, series.Handled, minutes)},
		{
			"duplicate", "calm", "/events", "",
			addSeries(from.ByMinute(series.Outcome+"duplicate", minutes), from.ByMinute(series.Outcome+"abandoned", minutes)),
		},
		{"refused", "warn", "/sources", "", sumOf(from, series.Refused, minutes)},
		{"dead", "bad", "/dead-letters", "", sumOf(from, series.Died, minutes)},
	}
	received, step := sumOf(from, series.Received, minutes), time.Duration(minutes/plotBins)*time.Minute
	d.Totals = append(d.Totals, flowFigure{"received", "", linkTo("/events", "since", d.Range), sumPoints(received)})
	var stacked []plotBar
	for _, b := range binPoints(received, plotBins, false) {
		one := plotBar{gap: !b.Known, title: clockText(b.Time, c.Now()) + ": not known"}
		if b.Known {
			one.href = during("/events", b.Time, b.Time.Add(step))
			one.title = fmt.Sprintf("%s: received %s", clockText(b.Time, c.Now()), numberText(b.Value))
		}
		stacked = append(stacked, one)
	}
	for _, k := range kinds {
		all := flowFigure{k.name, k.class, linkTo(k.path, "state", k.state, "since", d.Range), sumPoints(k.points)}
		if k.path == "/sources" {
			all.Href = k.path
		}
		d.Totals = append(d.Totals, all)
		for i, b := range binPoints(k.points, plotBins, false) {
			href := during(k.path, b.Time, b.Time.Add(step), "state", k.state)
			if k.path == "/sources" {
				href = k.path
			}
			stacked[i].parts = append(stacked[i].parts, barPart{k.class, b.Value, href})
			if b.Known {
				stacked[i].title += fmt.Sprintf(", %s %s", k.name, numberText(b.Value))
			}
		}
	}
	d.Flow = barPlot("Events by the minute: handled, duplicate, refused and dead", stacked).span(received, c.Now())
}

// ages draws how long the oldest events have waited, and how fast senders get their answers. Events
// under way are counted in Temporal for all processes, so our own series will do.
func (c *Console) ages(d *overviewData, from figures, minutes int) {
	level := func(points []series.Point) []series.Point { return binPoints(points, plotBins, true) }
	step := time.Duration(minutes/plotBins) * time.Minute
	say := func(p series.Point) string {
		switch {
		case !p.Known:
			return "not known"
		case p.Value == 0:
			return "none"
		default:
			return secondsText(p.Value)
		}
	}
	dead, spooled := level(from.ByMinute(series.DeadAge, minutes)), level(from.ByMinute(series.SpoolAge, minutes))
	running := level(c.Series.ByMinute(series.RunningAge, minutes))
	ages := curve{
		label: "Age of the oldest: dead letter, event under way, event on disk", show: secondsText,
		lines: []plotLine{{"bad", dead}, {"good", running}, {"warn", spooled}},
	}
	for i, p := range dead {
		ages.columns = append(ages.columns, column{
			fmt.Sprintf("%s: oldest dead letter %s, under way %s, on disk %s", clockText(p.Time, c.Now()), say(p), say(running[i]), say(spooled[i])),
			linkTo("/dead-letters", "until", p.Time.Add(step).Format(time.RFC3339)),
		})
	}
	d.Ages = ages.plot().span(dead, c.Now())

	half, most := level(from.Quantile(series.Answer, .5, minutes)), level(from.Quantile(series.Answer, .99, minutes))
	answer := curve{
		label: "Answer time: half of the answers, and 99 of 100, against 1 s, the time-out of the most impatient senders",
		limit: 1, show: secondsText, lines: []plotLine{{"good", half}, {"warn", most}},
	}
	for i, p := range half {
		text := "no answer"
		if p.Known {
			text = fmt.Sprintf("half of the answers within %s, 99 of 100 within %s", secondsText(p.Value), secondsText(most[i].Value))
		}
		answer.columns = append(answer.columns, column{clockText(p.Time, c.Now()) + ": " + text, during("/events", p.Time, p.Time.Add(step))})
	}
	d.Answer = answer.plot().span(half, c.Now())
	if d.Spool = float64(c.onDisk()); d.Whose.All {
		d.Spool = latestValue(from.ByMinute(series.Spool, minutes))
	}
}

// tries draws how many attempts deliveries took. Temporal's list does not know an event's attempts,
// so each bar links to all handled events.
func (c *Console) tries(d *overviewData, from figures, minutes int) {
	var tries []plotBar
	all := from.Tries(minutes)
	for i, t := range all {
		class, attempts := "good", "1 attempt"
		if i > 0 {
			class, attempts = "warn", t.Attempts+" attempts"
		}
		href := linkTo("/events", "state", "handled", "since", d.Range)
		tries = append(tries, plotBar{
			title: fmt.Sprintf("%s: %s", attempts, pluralOf(int(math.Round(t.Count)), "delivery", "deliveries")), href: href,
			parts: []barPart{{class, t.Count, href}},
		})
	}
	d.Tries = barPlot("Attempts until success", tries)
	if len(all) > 0 {
		d.Tries.Left, d.Tries.Right = "1 attempt", all[len(all)-1].Attempts
	}
}

// sourceSilence compares a source's last hour with the same hour a week ago.
type sourceSilence struct {
	Source
	series.Heard
	Last time.Time
	// Quiet is set if the source has sent nothing although it did a week ago.
	Quiet bool
	Line  Plot
}

// quietLimit is how many events a source must have sent in the same hour of last week to be called
// quiet if it sends none now. The alert has a limit of its own.
const quietLimit = 20

func (c *Console) silence(from figures) []sourceSilence {
	var all []sourceSilence
	for _, s := range c.sourceList() {
		h := heard(from, s)
		x := sourceSilence{Source: s, Heard: h, Last: h.Last}
		x.Quiet = x.WeekKnown && math.Round(x.Hour) == 0 && x.Week >= quietLimit
		x.Line = c.byHour(s.Name, x.Day)
		all = append(all, x)
	}
	return all
}

// byHour draws a source's events by the hour. Its bars are no links: those of a hundred sources
// would be most of the page.
func (c *Console) byHour(name string, hours []series.Point) Plot {
	var all []plotBar
	for _, h := range hours {
		all = append(all, plotBar{gap: !h.Known, parts: []barPart{{class: "good", value: h.Value}}})
	}
	return barPlot(name+" by the hour of the last day", all)
}

// deadMatrix counts the dead letters by reason and source.
type deadMatrix struct {
	Sources []string
	Rows    []matrixRow
	// Rest counts the letters of reasons that are not shown, Others the sources that are not.
	Rest, Others int
}

type matrixRow struct {
	Reason string
	Total  int
	Cells  []matrixCell
}

type matrixCell struct {
	Count int
	Href  string
	// Heat selects the colour, from 0 to 4.
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
		if len(m.Sources) == maxSources {
			m.Others++
			continue
		}
		m.Sources = append(m.Sources, g.Key)
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

// routeLine is one route, a handler or a destination, as the overview shows it.
type routeLine struct {
	Name, State, Why string
	Since            time.Time
	routeFigures
	// Destination is set for a destination, which the page of destinations shows too.
	Destination bool
}

// routeFigures counts the attempts at a route by result, and says how slow they were.
type routeFigures struct {
	Done, Bad, Deferred float64
	Slow                string
	Plot                Plot
}

// routes returns all routes that had attempts in the last minutes, and all destinations.
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
		l.routeFigures = c.routeFigures(from, name, patternOf(name, d.Events), minutes)
		all = append(all, l)
	}
	return all
}

// attemptResults are the results that an attempt can have, in the order of a bar's parts from the
// bottom up, each with its CSS class.
var attemptResults = [...]struct{ result, class string }{
	{"done", "good"}, {"deferred", "calm"}, {"failed", "warn"}, {"timeout", "warn"}, {"permanent", "bad"}, {"panic", "bad"},
}

// routeFigures computes the figures of a route. filter selects its events, for links; see
// patternOf.
func (c *Console) routeFigures(from figures, name string, filter []string, minutes int) routeFigures {
	alive, step := binPoints(sumOf(from, series.Outcome, minutes), plotBins/2, false), time.Duration(minutes*2/plotBins)*time.Minute
	stack := make([]plotBar, len(alive))
	for i, p := range alive {
		stack[i] = plotBar{gap: true, title: clockText(p.Time, c.Now()) + ": not known"}
		if p.Known {
			stack[i] = plotBar{title: clockText(p.Time, c.Now()), href: during("/events", p.Time, p.Time.Add(step), filter...)}
		}
	}
	f := routeFigures{Slow: slowAttempts(from, name, minutes)}
	for _, r := range attemptResults {
		for i, p := range binPoints(from.ByMinute(series.Attempt+r.result+":"+name, minutes), plotBins/2, false) {
			stack[i].parts = append(stack[i].parts, barPart{class: r.class, value: p.Value})
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
	for i, p := range binPoints(from.ByMinute(series.Shut+name, minutes), plotBins/2, true) {
		class, text := shutAs(p.Value)
		if stack[i].band = class; class != "" {
			stack[i].title += ", " + text
		}
	}
	f.Plot = barPlot("Attempts at "+name+", and when it was kept from them", stack)
	return f
}

// shutAs returns the CSS class and the name of the state that keeps events from a destination;
// empty if none does.
func shutAs(v float64) (class, text string) {
	switch {
	case v >= series.ShutPaused:
		return "warn", "paused"
	case v >= series.ShutOpen:
		return "bad", "circuit open"
	case v >= series.ShutTrying:
		return "calm", "tried again"
	default:
		return "", ""
	}
}

// patternOf returns the filter that selects a route's events, as arguments of linkTo; nil if no
// filter can.
func patternOf(name string, events []string) []string {
	pattern := strings.Join(events, " ")
	if source, typ, ok := strings.Cut(name, "/"); len(events) == 0 && ok {
		pattern = source + "/" + strings.ReplaceAll(typ, "/", "*") // A handler's name has / for the dots of the type.
	}
	source, typ, ok := strings.Cut(pattern, "/")
	if !ok || len(events) > 1 {
		return nil
	}
	free := func(s string) string {
		if s == "*" {
			return ""
		}
		return s
	}
	return []string{"source", free(source), "type", free(typ)}
}

// slowAttempts is the time within which 99 of 100 attempts at a route ended, in its worst minute.
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
