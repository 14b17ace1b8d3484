package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

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
	cost := func(name string, c Cost) { t.row(name, "%.0f\t%.0f\t%s", c.Allocs, c.Bytes, short(c.CPU)) }
	cost("a request", r.Receiver)
	cost("the same by a bare HTTP server", r.Plain)
	t.row("\nmemory", "%d MB here, load generator included; %d MB the engine", r.RSS>>20, r.EngineRSS>>20)
	return t.Flush() //nolint:wrapcheck // The caller's own writer.
}

// printCosts writes what an event takes of the engine and of the processors.
func (r *Report) printCosts(t table) {
	t.row("\nan event costs", "calls\thistory events\tbytes on disk")
	t.row("textbook design", "%.2f\t%d\t%d", r.TextbookCalls, r.TextbookHistory, r.TextbookBytes)
	t.row("grapnel up, at 50/s", "%.2f\t%d\t", r.LatencyCalls, r.History)
	t.row("grapnel up, under load", "%.2f\t%d\t%d", r.UpCalls, r.History, r.Bytes)
	t.row("starter and worker apart", "%.2f\t%d\t", r.SplitCalls, r.History)
	t.row("handled twice", "%d", r.Repeats)
	t.row("\nCPU of an event", "here\tengine\tagainst bare\tagainst textbook\twritten\twrites")
	bare := r.BareCPU.Here.Median + r.BareCPU.Engine.Median
	textbook := r.TextbookCPU.Here.Median + r.TextbookCPU.Engine.Median
	cpu := func(name string, c CPU) {
		here, there := c.Here.Median, c.Engine.Median
		t.row(name, "%s\t%s\t%.2f\t%.2f\t%.0f KB\t%.0f", short(time.Duration(here)), short(time.Duration(there)),
			(here+there)/max(bare, 1), (here+there)/max(textbook, 1), c.Written.Median/1000, c.Writes.Median)
	}
	cpu("bare StartWorkflowExecution", r.BareCPU)
	cpu("textbook design", r.TextbookCPU)
	cpu("grapnel up", r.UpCPU)
	cpu("grapnel up, HTTP destination", r.HTTPCPU)
	cpu("starter and worker apart", r.SplitCPU)
}

// printTimes writes how long answers and handling take.
func (r *Report) printTimes(t table) {
	t.row("\ntimes", "p50\tp99\tmax\trefused")
	times := func(name string, all Times, refused int) {
		t.row(name, "%s\t%s\t%s\t%d", short(all.P50), short(all.P99), short(all.Max), refused)
	}
	times("socket to handler, at 50/s", r.Latency, 0)
	for _, s := range r.Stages {
		times("  "+s.Name, s.Times, 0)
	}
	times("answers in a burst, spool", r.Burst.Answers, r.Burst.Refused)
	times("answers in a burst, no spool", r.BurstNoSpool.Answers, r.BurstNoSpool.Refused)
	if r.Hang != nil {
		times("answers while the engine hangs", r.Hang.Answers, r.Hang.Refused)
		t.row("all handled after it goes on", "%s", short(r.Hang.Recovered))
	}
}

// short is a time with three digits.
func short(d time.Duration) string {
	unit := time.Nanosecond
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

// rated is a rate with its name.
type rated struct {
	name   string
	series Series
}

func (r *Report) rates() []rated {
	return []rated{
		{"bare StartWorkflowExecution", r.Bare},
		{"textbook design, handled", r.Textbook},
		{"starter and worker, handled", r.Split},
		{"grapnel up, handled", r.Up},
		{"grapnel up, HTTP destination", r.HTTP},
		{"burst accepted, no spool", r.BurstNoSpool.Accepted},
		{"burst accepted, spool", r.Burst.Accepted},
		{"dead letters replayed", r.Replays},
	}
}
