// Package alert decides when somebody has to be alerted. It has the rules, notices when an alert
// begins and when it ends, and tells the targets of each once.
package alert

import (
	"fmt"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/telemetry"
)

// Severity says how soon somebody should look.
type Severity string

// The severities.
const (
	// Critical is worth waking somebody: events are not handled, or will soon be refused or lost.
	Critical Severity = "critical"
	// Warning is for the working day.
	Warning Severity = "warning"
)

// The names of the rules.
const (
	EventsFail        = "EventsFail"
	DeadLettersGrow   = "DeadLettersGrow"
	OldDeadLetter     = "OldDeadLetter"
	CircuitOpen       = "CircuitOpen"
	SpoolStuck        = "SpoolStuck"
	SpoolNearlyFull   = "SpoolNearlyFull"
	NoWorker          = "NoWorker"
	SourceSilent      = "SourceSilent"
	DeadLetterExpires = "DeadLetterExpires"
	HandlerPanics     = "HandlerPanics"
)

// Rule is one thing that alerts watch.
type Rule struct {
	Name     string
	Severity Severity
	// About says in a sentence what an alert of this rule means.
	About string
	// For is how long a finding has to last before the alert goes on.
	For time.Duration
	// Expr is the same rule for Prometheus, with the default limits.
	Expr string
	// Subject is the Prometheus label of the finding's subject; empty for rules without one.
	Subject string
}

// Rules returns all rules.
func Rules() []Rule {
	return []Rule{
		{
			SpoolNearlyFull, Critical, "The disk queue is nearly full or its disk fails: the receiver will refuse events.", 0,
			telemetry.MetricSpoolBytes + " / " + telemetry.MetricSpoolMax + " > 0.8 or " + telemetry.MetricSpoolFailed + " == 1", "",
		},
		{
			SpoolStuck, Critical, "Events wait on disk and Temporal doesn't take them.", time.Minute,
			telemetry.MetricSpoolAge + " > 300", "",
		},
		{
			NoWorker, Critical, "No worker asks Temporal for work: nothing is handled.", time.Minute,
			"time() - max(" + telemetry.MetricWorkerPoll + ") > 180", "",
		},
		{
			EventsFail, Critical, "A large share of events fails.", 0,
			"sum(increase(" + telemetry.MetricFailed + "[15m])) > 0.1 * (sum(increase(" + telemetry.MetricFailed +
				"[15m])) + (sum(increase(" + telemetry.MetricProcessed + "[15m])) or vector(0))) and (sum(increase(" + telemetry.MetricFailed +
				"[15m])) + (sum(increase(" + telemetry.MetricProcessed + "[15m])) or vector(0))) > 10", "",
		},
		{
			CircuitOpen, Critical, "A destination keeps failing, so nothing is sent to it for now: its events wait.", time.Minute,
			"max by (destination) (" + telemetry.MetricBreakerOpen + ") == 1", "destination",
		},
		{
			HandlerPanics, Critical, "A handler panics, most likely since it was last deployed.", 0,
			"sum by (route) (increase(" + telemetry.MetricDeliveries + `{result="panic"}[15m])) > 0`, "route",
		},
		{
			DeadLettersGrow, Warning, "The number of dead letters grows.", 0,
			"sum(max by (source, reason) (" + telemetry.MetricOpenDeadLetters + ")) - (sum(max by (source, reason) (" +
				telemetry.MetricOpenDeadLetters + " offset 1h)) or vector(0)) > 10", "",
		},
		{
			OldDeadLetter, Warning, "A dead letter has waited for a long time.", 0,
			"time() - min(" + telemetry.MetricOldestDeadLetter + ") > 86400", "",
		},
		{
			DeadLetterExpires, Critical, "Dead letters near the end of Temporal's retention: what is not replayed is lost.", 0,
			"time() - min(" + telemetry.MetricOldestDeadLetter + ") > 30 * 86400 - 3 * 86400", "",
		},
		{
			SourceSilent, Warning, "A source that sent at this time last week sends nothing.", 0,
			"(sum by (source) (increase(" + telemetry.MetricReceived + `{outcome=~"started|duplicate|queued|replayed"}[1h] offset 7d)) > 20)` +
				" unless on (source) (sum by (source) (increase(" + telemetry.MetricReceived +
				`{outcome=~"started|duplicate|queued|replayed"}[1h])) > 0)`, "source",
		},
	}
}

// RuleOf finds a rule by its name.
func RuleOf(name string) (Rule, bool) {
	for _, r := range Rules() {
		if r.Name == name {
			return r, true
		}
	}
	return Rule{}, false
}

// PrometheusRules writes the rules, with their default limits, as a file of alerting rules for
// Prometheus. runbooks is the address of the runbooks, without a slash at its end.
func PrometheusRules(runbooks string) string {
	var b strings.Builder
	b.WriteString("# Made from the rules in internal/alert by its tests; edit those.\ngroups:\n  - name: grapnel\n    rules:\n")
	for _, r := range Rules() {
		fmt.Fprintf(&b, "      - alert: Grapnel%s\n        expr: '%s'\n", r.Name, strings.ReplaceAll(r.Expr, "'", "''"))
		if r.For > 0 {
			fmt.Fprintf(&b, "        for: %s\n", promDuration(r.For))
		}
		fmt.Fprintf(&b, "        labels: {severity: %s}\n", r.Severity)
		subject := ""
		if r.Subject != "" {
			subject = " ({{ $labels." + r.Subject + " }})"
		}
		fmt.Fprintf(&b, "        annotations:\n          summary: '%s%s'\n          runbook_url: '%s/%s.md'\n",
			strings.ReplaceAll(r.About, "'", "''"), subject, runbooks, r.Name)
	}
	return b.String()
}

func promDuration(d time.Duration) string { return fmt.Sprintf("%dm", d/time.Minute) }
