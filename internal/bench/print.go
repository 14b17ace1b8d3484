package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	row("engine", "%s", r.Engine)
	row("machine", "%s, %d CPUs; load generator on the same ones", r.System, r.CPUs)
	row("rounds", "%d, medians; %d events of %d B each", r.Rounds, r.Events, bodyBytes)
	row("", "")
	row("rate", "per second\tagainst bare\tagainst textbook")
	for _, line := range r.rates() {
		row(line.name, "%.0f\t%.2f\t%.2f", line.series.Median, line.series.Ratio(r.Bare), line.series.Ratio(r.Textbook))
	}
	row("", "")
	row("an event costs", "calls\thistory events\tbytes on disk")
	row("textbook design", "%.2f\t%d\t%d", r.TextbookCalls, r.TextbookHistory, r.TextbookBytes)
	row("grapnel up, at 50/s", "%.2f\t%d\t", r.LatencyCalls, r.History)
	row("grapnel up, under load", "%.2f\t%d\t%d", r.UpCalls, r.History, r.Bytes)
	row("starter and worker apart", "%.2f\t%d\t", r.SplitCalls, r.History)
	row("handled twice", "%d", r.Repeats)
	row("", "")
	row("times", "p50\tp99\tmax\trefused")
	times := func(name string, t Times, refused int) {
		row(name, "%s\t%s\t%s\t%d", short(t.P50), short(t.P99), short(t.Max), refused)
	}
	times("socket to handler, at 50/s", r.Latency, 0)
	times("answers in a burst, spool", r.Burst.Answers, r.Burst.Refused)
	times("answers in a burst, no spool", r.BurstNoSpool.Answers, r.BurstNoSpool.Refused)
	if r.Hang != nil {
		times("answers while the engine hangs", r.Hang.Answers, r.Hang.Refused)
		row("all handled after it goes on", "%s", short(r.Hang.Recovered))
	}
	row("", "")
	row("receiver, Temporal left out", "allocations\tbytes\tCPU")
	cost := func(name string, c Cost) { row(name, "%.0f\t%.0f\t%s", c.Allocs, c.Bytes, short(c.CPU)) }
	cost("a request", r.Receiver)
	cost("the same by a bare HTTP server", r.Plain)
	row("memory", "%d MB here, load generator included; %d MB the engine", r.RSS>>20, r.EngineRSS>>20)
	return t.Flush() //nolint:wrapcheck // The caller's own writer.
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
		{"burst accepted, no spool", r.BurstNoSpool.Accepted},
		{"burst accepted, spool", r.Burst.Accepted},
		{"dead letters replayed", r.Replays},
	}
}
