package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheTemporalCLIIsRunOnTheTemporalThatGrapnelWorksWith(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "temporal")
	require.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\necho \"$TEMPORAL_ADDRESS $TEMPORAL_NAMESPACE $*\"\n[ \"$1\" != fail ]\n"), 0o700))
	none := append(file(t, zoomOnly), "GRAPNEL_DATA_DIR="+t.TempDir(), "TEMPORAL_CLI="+binary)
	for _, command := range [][]string{{"temporal", "workflow", "list"}, {"env"}} {
		got := run(t, none, command...)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.err, "set TEMPORAL_ADDRESS")
	}
	environ := append(none, "TEMPORAL_ADDRESS=temporal.example.com:7233", "TEMPORAL_NAMESPACE=events")
	require.Equal(t, "temporal.example.com:7233 events workflow list --limit 3\n",
		run(t, environ, "temporal", "workflow", "list", "--limit", "3").out)
	require.Equal(t, 1, run(t, environ, "temporal", "fail").code)
	require.Equal(t, "export TEMPORAL_ADDRESS=temporal.example.com:7233\nexport TEMPORAL_NAMESPACE=events\n", run(t, environ, "env").out)
}
