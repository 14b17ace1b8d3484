package bench

import (
	"fmt"
	"html"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is everything that was measured. Rates are per second, times in
// nanoseconds, sizes in bytes.
type Report struct {
	Engine string    `json:"engine"`
	When   time.Time `json:"when"`
	System string    `json:"system"`
	CPUs   int       `json:"cpus"`
	Rounds int       `json:"rounds"`
	Events int       `json:"events"`
	// Bare is StartWorkflowExecution and nothing else.
	Bare Series `json:"bare"`
	// Textbook is a workflow with one ordinary activity, handled.
	Textbook Series `json:"textbook"`
	// Up is receiver and worker in one process, from the socket to handled.
	Up Series `json:"up"`
	// HTTP is the same with an HTTP destination in the place of a handler.
	HTTP Series `json:"http"`
	// Split is receiver and worker with a client each.
	Split Series `json:"split"`
	// Repeats counts events that were handled twice.
	Repeats int `json:"repeats"`
	// Calls of Temporal and history events, for each event handled.
	UpCalls       float64 `json:"upCalls"`
	SplitCalls    float64 `json:"splitCalls"`
	TextbookCalls float64 `json:"textbookCalls"`
	// The same for each dead letter replayed, the worker's calls alone: by a reset, whose own
	// call and lookups come on top, and by an operation, what it does for itself included.
	ReplayCalls     float64 `json:"replayCalls"`
	OperationCalls  float64 `json:"operationCalls"`
	History         int64   `json:"history"`
	TextbookHistory int64   `json:"textbookHistory"`
	// CPU for each event of the rates. On a machine that is busy with other work it
	// says more than the rates themselves.
	BareCPU     CPU `json:"bareCPU"`
	TextbookCPU CPU `json:"textbookCPU"`
	UpCPU       CPU `json:"upCPU"`
	HTTPCPU     CPU `json:"httpCPU"`
	SplitCPU    CPU `json:"splitCPU"`
	// The same for each dead letter that is replayed.
	ReplayCPU    CPU `json:"replayCPU"`
	OperationCPU CPU `json:"operationCPU"`
	// Others is the part of the machine's processors that neither this process nor the
	// engines used while the bench ran; negative where it can't be told.
	Others float64 `json:"others"`
	// Stages are where the time between socket and end goes at 50 events/s.
	Stages []Stage `json:"stages,omitempty"`
	// Latency is from the socket to the handler, at 50 events/s.
	Latency      Times   `json:"latency"`
	LatencyCalls float64 `json:"latencyCalls"`
	// Burst is what is accepted of many at once, with and without a spool.
	Burst        Burst `json:"burst"`
	BurstNoSpool Burst `json:"burstNoSpool"`
	// Replays is dead letters replayed by resets, until they are handled; Operations the
	// same by an operation of ours, from where its rate has grown.
	Replays    Series `json:"replays"`
	Operations Series `json:"operations"`
	// Receiver is what a request costs with the Temporal call left out.
	Receiver Cost `json:"receiver"`
	// Plain is the same for a bare HTTP server of the same kind.
	Plain Cost `json:"plain"`
	// Hang is what the receiver does while the embedded engine hangs.
	Hang *Hang `json:"hang,omitempty"`
	// Bytes on the disk of the embedded engine for each event, after it is handled; zero if
	// another Temporal is configured.
	Bytes         int64 `json:"bytes,omitempty"`
	TextbookBytes int64 `json:"textbookBytes,omitempty"`
	// RSS is this process with its load generator, ProgramRSS what of it are parts of the
	// program's file, EngineRSS the engine.
	RSS        int64 `json:"rss,omitempty"`
	ProgramRSS int64 `json:"programRSS,omitempty"`
	EngineRSS  int64 `json:"engineRSS,omitempty"`
}

func newReport(o Options) *Report {
	return &Report{
		When: time.Now().UTC().Truncate(time.Second), Rounds: o.Rounds, Events: o.Events,
		System: runtime.GOOS + "/" + runtime.GOARCH + " " + runtime.Version(), CPUs: runtime.NumCPU(),
	}
}

// Series is one figure of every round.
type Series struct {
	Values []float64 `json:"values"`
	Median float64   `json:"median"`
}

func (s *Series) add(v float64) {
	s.Values = append(s.Values, v)
	sorted := slices.Sorted(slices.Values(s.Values))
	n := len(sorted)
	s.Median = (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Times are the spread of many times.
type Times struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

func newTimes(all []time.Duration) Times {
	if len(all) == 0 {
		return Times{}
	}
	slices.Sort(all)
	at := func(part float64) time.Duration { return all[min(int(part*float64(len(all))), len(all)-1)] }
	return Times{Count: len(all), P50: at(0.5), P99: at(0.99), Max: all[len(all)-1]}
}

// Burst is many events at once.
type Burst struct {
	Accepted Series `json:"accepted"`
	// Answers are those of all rounds.
	Answers Times `json:"answers"`
	// Refused counts those that were answered 503.
	Refused int `json:"refused"`
	// Handled counts what was handled while the burst went on.
	Handled int `json:"handled"`

	answers []time.Duration
}

// Cost is what one request takes.
type Cost struct {
	Allocs float64       `json:"allocs"`
	Bytes  float64       `json:"bytes"`
	CPU    time.Duration `json:"cpu"`
}

// Hang is what happens while the embedded engine is stopped, and after it goes on.
type Hang struct {
	Answers Times `json:"answers"`
	Refused int   `json:"refused"`
	// Recovered is the time from the moment when the engine goes on until all was handled.
	Recovered time.Duration `json:"recovered"`
}

// Ratio compares a series with another. If both have the same rounds, it is the median of the
// ratios of each round, because machine and Temporal get slower over a run; else it is the ratio of
// the medians. It is zero if there is nothing to divide by.
func (s Series) Ratio(to Series) float64 {
	if to.Median == 0 {
		return 0
	}
	if len(s.Values) != len(to.Values) || slices.Contains(to.Values, 0) {
		return s.Median / to.Median
	}
	var rounds Series
	for i, v := range s.Values {
		rounds.add(v / to.Values[i])
	}
	return rounds.Median
}

// CPU is what an event takes. Here is the processor time of this process, load generator included,
// and Engine that of the embedded engine, both in nanoseconds. Written is how many bytes the engine
// writes, Writes how often, and Syncs how often it syncs them to the disk; Syncs is empty where the
// system doesn't tell.
type CPU struct {
	Here    Series `json:"here"`
	Engine  Series `json:"engine"`
	Written Series `json:"written"`
	Writes  Series `json:"writes"`
	Syncs   Series `json:"fsyncs"`
}

func (c *CPU) add(from, to usage, events int) {
	n := float64(events)
	c.Here.add(float64(to.here-from.here) / n)
	c.Engine.add(float64(to.engine-from.engine) / n)
	c.Written.add(float64(to.written-from.written) / n)
	c.Writes.add(float64(to.writes-from.writes) / n)
	if from.syncs >= 0 && to.syncs >= 0 {
		c.Syncs.add(float64(to.syncs-from.syncs) / n)
	}
}

// syncs is how often the engine syncs, for people.
func (c *CPU) syncs() string {
	if len(c.Syncs.Values) == 0 {
		return "can't tell"
	}
	return fmt.Sprintf("%.1f", c.Syncs.Median)
}

// Stage is a part of the way of an event.
type Stage struct {
	Name  string `json:"name"`
	Times Times  `json:"times"`
}

// table writes rows of columns.
type table struct{ *tabwriter.Writer }

func (t table) row(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row("engine", "%s", r.Engine)
	t.row("machine", "%s, %d CPUs; load generator on the same ones", r.System, r.CPUs)
	if r.Others >= 0 {
		t.row("others", "used %.0f %% of the processors meanwhile", 100*r.Others)
	}
	t.row("rounds", "%d, medians, ratios round by round; %d events of %d B each", r.Rounds, r.Events, bodyBytes)
	t.row("\nrate", "per second\tagainst bare\tagainst textbook")
	for _, line := range r.rates() {
		t.row(line.name, "%.0f\t%.2f\t%.2f", line.series.Median, line.series.Ratio(r.Bare), line.series.Ratio(r.Textbook))
	}
	r.printCosts(t)
	r.printTimes(t)
	t.row("\nreceiver, Temporal left out", "allocations\tbytes\tCPU")
	cost := func(name string, c Cost) { t.row(name, "%.0f\t%.0f\t%s", c.Allocs, c.Bytes, threeDigits(c.CPU)) }
	cost("a request", r.Receiver)
	cost("the same by a bare HTTP server", r.Plain)
	t.row("\nmemory", "%d MB here, %d MB of it the program's file, load generator included; %d MB the engine",
		r.RSS>>20, r.ProgramRSS>>20, r.EngineRSS>>20)
	return t.Flush() //nolint:wrapcheck // The caller's own writer.
}

// printCosts writes what an event takes of Temporal and of the processors.
func (r *Report) printCosts(t table) {
	t.row("\nan event costs", "calls\thistory events\tbytes on disk")
	t.row("textbook design", "%.2f\t%d\t%d", r.TextbookCalls, r.TextbookHistory, r.TextbookBytes)
	t.row("grapnel up, at 50/s", "%.2f\t%d\t", r.LatencyCalls, r.History)
	t.row("grapnel up, under load", "%.2f\t%d\t%d", r.UpCalls, r.History, r.Bytes)
	t.row("starter and worker apart", "%.2f\t%d\t", r.SplitCalls, r.History)
	t.row("a dead letter replayed, reset", "%.2f", r.ReplayCalls)
	t.row("a dead letter replayed, operation", "%.2f", r.OperationCalls)
	t.row("handled twice", "%d", r.Repeats)
	t.row("\nCPU of an event", "here\tengine\tagainst bare\tagainst textbook\twritten\twrites\tfsyncs")
	bare := r.BareCPU.Here.Median + r.BareCPU.Engine.Median
	textbook := r.TextbookCPU.Here.Median + r.TextbookCPU.Engine.Median
	cpu := func(name string, c CPU) {
		here, there := c.Here.Median, c.Engine.Median
		t.row(name, "%s\t%s\t%.2f\t%.2f\t%.0f KB\t%.0f\t%s", threeDigits(time.Duration(here)), threeDigits(time.Duration(there)),
			(here+there)/max(bare, 1), (here+there)/max(textbook, 1), c.Written.Median/1000, c.Writes.Median, c.syncs())
	}
	cpu("bare StartWorkflowExecution", r.BareCPU)
	cpu("textbook design", r.TextbookCPU)
	cpu("grapnel up", r.UpCPU)
	cpu("grapnel up, HTTP destination", r.HTTPCPU)
	cpu("starter and worker apart", r.SplitCPU)
	cpu("a dead letter replayed, reset", r.ReplayCPU)
	cpu("a dead letter replayed, operation", r.OperationCPU)
}

// printTimes writes how long answers and handling take.
func (r *Report) printTimes(t table) {
	t.row("\ntimes", "p50\tp99\tmax\trefused")
	times := func(name string, all Times, refused int) {
		t.row(name, "%s\t%s\t%s\t%d", threeDigits(all.P50), threeDigits(all.P99), threeDigits(all.Max), refused)
	}
	times("socket to handler, at 50/s", r.Latency, 0)
	for _, s := range r.Stages {
		times("  "+s.Name, s.Times, 0)
	}
	times("answers in a burst, spool", r.Burst.Answers, r.Burst.Refused)
	times("answers in a burst, no spool", r.BurstNoSpool.Answers, r.BurstNoSpool.Refused)
	if r.Hang != nil {
		times("answers while the engine hangs", r.Hang.Answers, r.Hang.Refused)
		t.row("all handled after it goes on", "%s", threeDigits(r.Hang.Recovered))
	}
}

// threeDigits is a time with three digits.
func threeDigits(d time.Duration) string {
	unit := time.Nanosecond
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

// namedRate is a rate with its name.
type namedRate struct {
	name   string
	series Series
}

func (r *Report) rates() []namedRate {
	return []namedRate{
		{"bare StartWorkflowExecution", r.Bare},
		{"textbook design, handled", r.Textbook},
		{"starter and worker, handled", r.Split},
		{"grapnel up, handled", r.Up},
		{"grapnel up, HTTP destination", r.HTTP},
		{"burst accepted, no spool", r.BurstNoSpool.Accepted},
		{"burst accepted, spool", r.Burst.Accepted},
		{"dead letters replayed, resets", r.Replays},
		{"dead letters replayed, operation", r.Operations},
	}
}

// The chart's measures in pixels.
const (
	chartWidth = 720
	labelWidth = 220
	barHeight  = 22
	barGap     = 10
	barMost    = chartWidth - labelWidth - 150
)

// SVG draws the rates as bars.
func (r *Report) SVG(w io.Writer) error {
	rates, most := r.rates(), 0.0
	for _, line := range rates {
		most = max(most, line.series.Median)
	}
	height := 60 + len(rates)*(barHeight+barGap)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n",
		chartWidth, height)
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	text := func(x, y int, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
	}
	text(10, 20, "start", "Events per second, median of the rounds, and against bare starts")
	text(10, 38, "start", r.Engine)
	for i, line := range rates {
		y := 52 + i*(barHeight+barGap)
		width := 0
		if most > 0 {
			width = max(1, int(line.series.Median/most*barMost))
		}
		text(labelWidth-8, y+16, "end", line.name)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="#3b6ea5"/>`+"\n", labelWidth, y, width, barHeight)
		text(labelWidth+width+8, y+16, "start", fmt.Sprintf("%.0f (%.2f×)", line.series.Median, line.series.Ratio(r.Bare)))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err //nolint:wrapcheck // The caller's own writer.
}
