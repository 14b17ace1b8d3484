package alert

import (
	"fmt"
	"strings"
	"time"
)

// PrometheusRules are the rules with their default limits as a file of alerting
// rules for Prometheus. runbooks is the address of the runbooks.
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
