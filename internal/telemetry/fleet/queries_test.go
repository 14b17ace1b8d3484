package fleet_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/telemetry"
)

func TestPrometheusUnderstandsTheQueries(t *testing.T) {
	p := &prometheus{matrices: map[string]string{"grapnel_build_info": "[" + one(`{}`, map[int]string{0: "1"}) + "]"}}
	r, _ := serve(t, p)
	_, err := r.Figures(t.Context(), 60)
	require.NoError(t, err)
	rules := "groups:\n- name: queries\n  rules:\n"
	for i, asked := range p.asked {
		text := asked.URL.Query().Get("query")
		rules += "  - {record: 'query" + strconv.Itoa(i) + "', expr: '" + text + "'}\n"
		known := false
		for _, m := range telemetry.Catalogue() {
			known = known || strings.Contains(text, m.Name)
		}
		require.True(t, known, text)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("SKIPPED: promtool is not installed (Debian's package prometheus); the queries are not checked")
	}
	file := filepath.Join(t.TempDir(), "queries.yml")
	require.NoError(t, os.WriteFile(file, []byte(rules), 0o600))
	out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", file).CombinedOutput()
	require.NoError(t, err, string(out))
}
