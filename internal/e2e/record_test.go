package e2e_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
)

// record is set by `make histories`. A shape that has been recorded is not
// recorded again: it stands for runs that may be in flight somewhere.
func recordFlag() bool {
	return flag.Lookup("record") != nil && flag.Lookup("record").Value.String() == "true"
}

// keep writes the history of a run as a fixture of the replay test.
func keep(t *testing.T, s *system, name, id, run string) {
	t.Helper()
	if !recordFlag() {
		return
	}
	path := filepath.Join("..", "..", "workflows", "testdata", "histories", name+".json")
	if _, err := os.Stat(path); err == nil {
		return
	}
	history := &historypb.History{}
	events := s.client.GetWorkflowHistory(t.Context(), id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, e)
	}
	text, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(history)
	require.NoError(t, err)
	out, err := json.Marshal(map[string]any{"workflowId": id, "runId": run, "history": json.RawMessage(text)})
	require.NoError(t, err)
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, out, "", " "))
	pretty.WriteByte('\n')
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, pretty.Bytes(), 0o600))
}
