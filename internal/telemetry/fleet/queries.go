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
