package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
)

// record is set by `make histories`. A shape that has been recorded is not
// recorded again: it stands for runs that may be in flight somewhere.
func recordFlag() bool {
	return flag.Lookup("record") != nil && flag.Lookup("record").Value.String() == "true"
}

// keep writes the history of a run as a fixture of the replay test.
func keep(t *testing.T, s *system, name, id, run string) {
	t.Helper()
	keepOf(t, s.client, name, id, run)
}

func keepOf(t *testing.T, c client.Client, name, id, run string) {
	t.Helper()
	if !recordFlag() {
		return
	}
	path := filepath.Join("..", "..", "workflows", "testdata", "histories", name+".json")
	for _, there := range []string{path, path + ".gz"} {
		if _, err := os.Stat(there); err == nil {
			return
		}
	}
	text, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(&historypb.History{Events: historyOf(t, c, id, run)})
	require.NoError(t, err)
	out, err := json.Marshal(map[string]any{"workflowId": id, "runId": run, "history": json.RawMessage(text)})
	require.NoError(t, err)
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, out, "", " "))
	pretty.WriteByte('\n')
	// Who polled is a process and a machine of the day.
	clean := regexp.MustCompile(`"identity": "\d+@[^"]*"`).ReplaceAll(pretty.Bytes(), []byte(`"identity": "worker"`))
	clean = regexp.MustCompile(`"name": "[^":]+:([0-9a-f-]{36})"`).ReplaceAll(clean, []byte(`"name": "worker:$1"`))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	if len(clean) < large {
		require.NoError(t, os.WriteFile(path, clean, 0o600))
		return
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(clean)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(path+".gz", packed.Bytes(), 0o600))
}

// large is the size in bytes from which a fixture is kept packed.
const large = 256 << 10
