package fleet

import (
	"fmt"
	"time"

	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// figureQuery is a query to Prometheus, and says which series its answers become.
type figureQuery struct {
	text string
	// name makes the name of a series from its labels; the empty name is the series that tells when
	// some process ran. also names a second series to which the answer is added, or none.
	name, also func(labels map[string]string) string
	// level is set if a missing value is unknown, not zero.
	level bool
	// collect, if it is set, is called with the answer instead. span is how many hours the answer
	// covers, one point each.
	collect func(f *Figures, labels map[string]string, hours []series.Point)
	span    int
}

// rateWindow is the shortest window of a rate. Prometheus scrapes once a minute by default; a rate
// needs two scrapes, and one may be missing.
const rateWindow = 4 * time.Minute

// queries returns the queries for the plots of the pages.
func queries(step time.Duration) []figureQuery {
	over := fmt.Sprintf("%.0fs", max(step, rateWindow).Seconds())
	count := func(by, metric string) string {
		return fmt.Sprintf("sum by (%s) (rate(%s[%s])) * %.0f", by, metric, over, step.Seconds())
	}
	slowest := func(q float64, by, metric string) string {
		return fmt.Sprintf("histogram_quantile(%g, sum by (%s) (rate(%s_bucket[%s])))", q, by, metric, over)
	}
	named := func(name string) func(map[string]string) string {
		return func(map[string]string) string { return name }
	}
	return []figureQuery{
		{text: "count(" + telemetry.MetricBuild + ")", name: named("")},
		{
			text: count("outcome", telemetry.MetricReceived), also: kindOf,
			name: func(l map[string]string) string { return series.Outcome + l["outcome"] },
		},
		{text: count("", telemetry.MetricProcessed), name: named(series.Handled + allSources)},
		{text: count("", telemetry.MetricFailed), name: named(series.Died + allSources)},
		{
			text: count("route, result", telemetry.MetricDeliveries),
			name: func(l map[string]string) string { return series.Attempt + l["result"] + ":" + l["route"] },
		},
		{
			text: slowest(.99, "route, le", telemetry.MetricDelivery), level: true,
			name: func(l map[string]string) string { return quantile(series.Route+l["route"], .99) },
		},
		{text: slowest(.5, "le", telemetry.MetricAnswer), level: true, name: named(quantile(series.Answer, .5))},
		{text: slowest(.99, "le", telemetry.MetricAnswer), level: true, name: named(quantile(series.Answer, .99))},
		// Each process that counts dead letters counts all of them, so they are not summed. If they
		// were counted and there are none, the age is zero.
		{
			text: fmt.Sprintf("(time() - min(%s)) or 0 * min(%s)", telemetry.MetricOldestDeadLetter, telemetry.MetricCensus),
			name: named(series.DeadAge), level: true,
		},
		{text: "max(" + telemetry.MetricSpoolAge + ")", name: named(series.SpoolAge), level: true},
		{text: "sum(" + telemetry.MetricSpoolDepth + ")", name: named(series.Spool), level: true},
		shutQuery(telemetry.MetricBreakerOpen, series.ShutOpen, step),
		shutQuery(telemetry.MetricPaused, series.ShutPaused, step),
	}
}

// shutQuery asks when a gauge of a destination was 1 in some process.
func shutQuery(metric string, as int, step time.Duration) figureQuery {
	return figureQuery{
		text:  fmt.Sprintf("%d * max by (destination) (max_over_time(%s[%.0fs]))", as, metric, step.Seconds()),
		name:  func(l map[string]string) string { return series.Shut + l["destination"] },
		level: true,
	}
}

// verified matches the outcomes of verified events.
const verified = `{outcome=~"started|replayed|queued|duplicate|abandoned|changed"}`

// onceQueries returns the queries that are no plots: how much each source sent by the hour, and how
// many attempts deliveries took in all of the minutes.
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
			collect: bySource(func(h *series.Heard, hours []series.Point) { h.Day, h.Hour = hours, last(hours) }),
		},
		{
			text: "count(max_over_time(" + telemetry.MetricBuild + "[1h]))", span: 24,
			collect: func(f *Figures, _ map[string]string, hours []series.Point) { f.hours = hours },
		},
		{
			text: "sum by (source) (increase(" + telemetry.MetricReceived + verified + "[1h] offset 1w))", span: 1,
			collect: bySource(func(h *series.Heard, hours []series.Point) { h.Week = last(hours) }),
		},
		{
			text: "count(max_over_time(" + telemetry.MetricBuild + "[1h] offset 1w))", span: 1,
			collect: func(f *Figures, _ map[string]string, hours []series.Point) { f.weekKnown = last(hours) > 0 },
		},
		{
			text: "max by (source) (max_over_time(" + telemetry.MetricLastEvent + "[1d]))", span: 1,
			collect: bySource(func(h *series.Heard, hours []series.Point) { h.Last = time.Unix(int64(last(hours)), 0) }),
		},
		{
			text: fmt.Sprintf("sum by (le) (increase(%s_bucket[%dm]))", telemetry.MetricAttempts, minutes), span: 1,
			collect: func(f *Figures, l map[string]string, hours []series.Point) { f.tries[l["le"]] = last(hours) },
		},
	}
}

// allSources stands for all sources; the pages plot their sum.
const allSources = "all sources"

// kindOf returns the series in which requests of an outcome are counted too: Received for verified
// events, Refused for refused requests, and none for requests that lead to no event.
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
