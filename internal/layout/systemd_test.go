package layout_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// systemd judges the unit: no key that it does not know, and hardened beyond what it calls OK.
func TestSystemdTakesTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: systemd-analyze is not installed (Debian's package systemd); deploy/systemd is not checked")
	}
	// The program that the unit starts is not installed here; any other stands for it.
	unit := strings.ReplaceAll(read(t, "deploy/systemd/grapnel.service"), "/usr/local/bin/grapnel", "/bin/true")
	file := filepath.Join(t.TempDir(), "grapnel.service")
	require.NoError(t, os.WriteFile(file, []byte(unit), 0o600))
	out, err := exec.CommandContext(t.Context(), analyze, "verify", file).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out))
	help, err := exec.CommandContext(t.Context(), analyze, "--help").CombinedOutput()
	require.NoError(t, err)
	if !strings.Contains(string(help), "--offline") {
		t.Skip("SKIPPED: this systemd-analyze judges no file's hardening")
	}
	// The scale goes from 0 to 10, here in tenths.
	out, err = exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=20", file).CombinedOutput()
	require.NoError(t, err, string(out))
}
