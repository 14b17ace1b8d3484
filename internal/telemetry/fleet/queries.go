package fleet

import (
	"fmt"
	"time"

	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// figureQuery is what Prometheus is asked, and which series its answers are.
type figureQuery struct {
	text string
	// name makes the name of a series from its labels; empty is the time that some
	// process lived. also names another that it counts in, or none.
	name, also func(labels map[string]string) string
	// level is set where no answer is not known, rather than zero.
	level bool
	// take, where it is set, takes the answer instead, and span is how long it covers, in
	// hours, one point each.
	take func(f *Figures, labels map[string]string, hours []series.Point)
	span int
}

// rateWindow is the least time over which a rate is taken: Prometheus reads once a
// minute where nothing else is said, and a rate needs two readings and one to spare.
const rateWindow = 4 * time.Minute

// queries are what the pages plot, by steps of a length.
func queries(step time.Duration) []figureQuery {
	over := fmt.Sprintf("%.0fs", max(step, rateWindow).Seconds())
	count := func(by, metric string) string {
		return fmt.Sprintf("sum by (%s) (rate(%s[%s])) * %.0f", by, metric, over, step.Seconds())
	}
	slowest := func(q float64, by, metric string) string {
		return fmt.Sprintf("histogram_quantile(%g, sum by (%s) (rate(%s_bucket[%s])))", q, by, metric, over)
	}
	is := func(name string) func(map[string]string) string {
		return func(map[string]string) string { return name }
	}
	return []figureQuery{
		{text: "count(" + telemetry.MetricBuild + ")", name: is("")},
		{
			text: count("outcome", telemetry.MetricReceived), also: kindOf,
			name: func(l map[string]string) string { return series.Outcome + l["outcome"] },
		},
		{text: count("", telemetry.MetricProcessed), name: is(series.Handled + allSources)},
		{text: count("", telemetry.MetricFailed), name: is(series.Died + allSources)},
		{
			text: count("route, result", telemetry.MetricDeliveries),
			name: func(l map[string]string) string { return series.Attempt + l["result"] + ":" + l["route"] },
		},
		{
			text: slowest(.99, "route, le", telemetry.MetricDelivery), level: true,
			name: func(l map[string]string) string { return quantile(series.Route+l["route"], .99) },
		},
		{text: slowest(.5, "le", telemetry.MetricAnswer), level: true, name: is(quantile(series.Answer, .5))},
		{text: slowest(.99, "le", telemetry.MetricAnswer), level: true, name: is(quantile(series.Answer, .99))},
		// Each process that counts the dead letters counts all of them, so they are no sum.
		// Where they were counted and there is none, the age is zero.
		{
			text: fmt.Sprintf("(time() - min(%s)) or 0 * min(%s)", telemetry.MetricOldestDeadLetter, telemetry.MetricCensus),
			name: is(series.DeadAge), level: true,
		},
		{text: "max(" + telemetry.MetricSpoolAge + ")", name: is(series.SpoolAge), level: true},
		{text: "sum(" + telemetry.MetricSpoolDepth + ")", name: is(series.Spool), level: true},
		shut(telemetry.MetricBreakerOpen, series.ShutOpen, step),
		shut(telemetry.MetricPaused, series.ShutPaused, step),
	}
}

// shut asks when a gauge of destinations was 1: of each, in some process.
func shut(metric string, as int, step time.Duration) figureQuery {
	return figureQuery{
		text:  fmt.Sprintf("%d * max by (destination) (max_over_time(%s[%.0fs]))", as, metric, step.Seconds()),
		name:  func(l map[string]string) string { return series.Shut + l["destination"] },
		level: true,
	}
}

// verified matches the outcomes of verified events.
const verified = `{outcome=~"started|replayed|queued|duplicate|abandoned|changed"}`

// onceQueries are what the pages tell besides: of each source by the hour, and how many
// attempts deliveries took in the whole of the stretch of time.
func onceQueries(minutes int) []figureQuery {
	last := func(hours []series.Point) float64 { return hours[len(hours)-1].Value }
	bySource := func(take func(h *series.Heard, hours []series.Point)) func(*Figures, map[string]string, []series.Point) {
		return func(f *Figures, l map[string]string, hours []series.Point) {
			h := f.sources[l["source"]]
			if h == nil {
				h = &series.Heard{}
				f.sources[l["source"]] = h
			}
			take(h, hours)
		}
	}
	return []figureQuery{
		{
			text: "sum by (source) (increase(" + telemetry.MetricReceived + verified + "[1h]))", span: 24,
			take: bySource(func(h *series.Heard, hours []series.Point) { h.Day, h.Hour = hours, last(hours) }),
		},
		{
			text: "count(max_over_time(" + telemetry.MetricBuild + "[1h]))", span: 24,
			take: func(f *Figures, _ map[string]string, hours []series.Point) { f.hours = hours },
		},
		{
			text: "sum by (source) (increase(" + telemetry.MetricReceived + verified + "[1h] offset 1w))", span: 1,
			take: bySource(func(h *series.Heard, hours []series.Point) { h.Week = last(hours) }),
		},
		{
			text: "count(max_over_time(" + telemetry.MetricBuild + "[1h] offset 1w))", span: 1,
			take: func(f *Figures, _ map[string]string, hours []series.Point) { f.weekKnown = last(hours) > 0 },
		},
		{
			text: "max by (source) (max_over_time(" + telemetry.MetricLastEvent + "[1d]))", span: 1,
			take: bySource(func(h *series.Heard, hours []series.Point) { h.Last = time.Unix(int64(last(hours)), 0) }),
		},
		{
			text: fmt.Sprintf("sum by (le) (increase(%s_bucket[%dm]))", telemetry.MetricAttempts, minutes), span: 1,
			take: func(f *Figures, l map[string]string, hours []series.Point) { f.tries[l["le"]] = last(hours) },
		},
	}
}

// allSources stands for every source: the pages plot their sum.
const allSources = "all sources"

// kindOf says whether requests of an outcome were verified events, as the starter
// counts them, or refused. What is neither needed nothing done.
func kindOf(l map[string]string) string {
	switch l["outcome"] {
	case "started", "replayed", "queued", "duplicate", "abandoned", "changed":
		return series.Received + allSources
	case "ignored", "handshake":
		return ""
	default:
		return series.Refused + allSources
	}
}
