package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheTemporalCLIIsRunOnTheTemporalThatGrapnelWorksWith(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "temporal")
	require.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\necho \"$TEMPORAL_ADDRESS $TEMPORAL_NAMESPACE $*\"\n[ \"$1\" != fail ]\n"), 0o700))
	none := append(file(t, zoomOnly), "GRAPNEL_DATA_DIR="+t.TempDir(), "TEMPORAL_CLI="+binary)
	environ := append(none, "TEMPORAL_ADDRESS=temporal.example.com:7233", "TEMPORAL_NAMESPACE=events")
	require.Equal(t, "temporal.example.com:7233 events workflow list --limit 3\n",
		run(t, environ, "temporal", "workflow", "list", "--limit", "3").out)
	require.Equal(t, 1, run(t, environ, "temporal", "fail").code)
	require.Equal(t, "export TEMPORAL_ADDRESS=temporal.example.com:7233\nexport TEMPORAL_NAMESPACE=events\n", run(t, environ, "env").out)
}

// What a command says where there is no Temporal is what people read first.
func TestEveryCommandThatNeedsTemporalSaysHowToGetIt(t *testing.T) {
	id := strings.Repeat("0a", 32)
	letters := filepath.Join(t.TempDir(), "letters.jsonl")
	require.NoError(t, os.WriteFile(letters, []byte("{}\n"), 0o600))
	for _, command := range []string{
		"dlq list", "dlq list --group-by reason", "dlq show " + id, "dlq replay " + id + " --yes", "dlq discard " + id + " --reason x --yes",
		"dlq export", "dlq import " + letters,
		"ops list", "ops show x", "ops pause x", "ops resume x", "ops cancel x",
		"events list", "events show " + id, "events tail", "route --event " + id, "meetings", "meetings x",
		"pause", "pause source zoom", "resume source zoom", "sweep list", "sweep remove x", "sweep github --repo a/b --hook 1 --every 1h",
		"setup", "setup --json", "starter", "worker", "env", "temporal workflow list",
	} {
		t.Run(command, func(t *testing.T) {
			none := append(file(t, zoomOnly), "GRAPNEL_DATA_DIR="+t.TempDir())
			got := run(t, none, strings.Fields(command)...)
			require.Equal(t, 1, got.code)
			require.Regexp(t, `(?s)^grapnel: no Temporal .*'grapnel up'`, got.err)
			require.Contains(t, got.err, "set TEMPORAL_ADDRESS")
			require.Empty(t, got.out)
			switch name, _, _ := strings.Cut(command, " "); name {
			case "setup", "starter", "worker", "env", "temporal":
				return // They wait for it, go on without it, or need it not at all.
			}
			got = run(t, append(none, "TEMPORAL_ADDRESS=127.0.0.1:1"), strings.Fields(command)...)
			require.Equal(t, 1, got.code)
			require.Regexp(t, `(?s)^grapnel: at 127\.0\.0\.1:1: cannot reach Temporal: .*set TEMPORAL_ADDRESS to one that does\n$`, got.err)
			require.Empty(t, got.out)
		})
	}
}
