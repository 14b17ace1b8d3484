package alert_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/telemetry"
)

const (
	rulesFile = "../../deploy/prometheus/grapnel.rules.yml"
	rulesDir  = "../../deploy/prometheus"
	runbookAt = "https://github.com/grapnel/grapnel/blob/main/docs/runbooks"
)

func TestTheRulesReadMetricsOfTheCatalogue(t *testing.T) {
	known := map[string]bool{}
	for _, metric := range telemetry.Catalogue() {
		known[metric.Name] = true
	}
	for _, rule := range alert.Rules() {
		read := regexp.MustCompile(`\bgrapnel_[a-z_]+`).FindAllString(rule.Expr, -1)
		for _, name := range read {
			require.True(t, known[strings.TrimSuffix(name, "_bucket")], "the rule %s reads %s", rule.Name, name)
		}
	}
}

func TestTheRulesOfPrometheusAreThoseOfTheCode(t *testing.T) {
	want := alert.PrometheusRules(runbookAt)
	if os.Getenv("GRAPNEL_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(rulesFile, []byte(want), 0o644))
	}
	got, err := os.ReadFile(rulesFile)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "write it anew with GRAPNEL_UPDATE_GOLDEN=1")
}

func TestPromtoolAcceptsTheRulesAndRunsThem(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("SKIPPED: promtool is not installed (Debian's package prometheus); the rules of Prometheus are not checked")
	}
	for _, args := range [][]string{
		{"check", "rules", "grapnel.rules.yml"}, {"test", "rules", "grapnel.rules_test.yml"}, {"test", "rules", "grapnel.slow_rules_test.yml"},
	} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = rulesDir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}
