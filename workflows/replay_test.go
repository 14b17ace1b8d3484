package workflows_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/workflows"
)

// Every shape of run that was ever recorded must replay. A change that breaks
// one would break the runs in flight at a deploy: it needs a version gate, not a
// new recording. `make histories` records shapes that are new.
func TestRecordedHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		t.Run(name, func(t *testing.T) {
			execution, history := recorded(t, file)
			require.NoError(t, replay(execution, history))
		})
	}
}

// recorded reads a history and the execution it is of. The run ID is kept beside
// the history, which does not hold it: without it a reset run replays as if it
// were none.
func recorded(t *testing.T, file string) (workflow.Execution, *historypb.History) {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	var src io.Reader = f
	if strings.HasSuffix(file, ".gz") { // Its bodies are large.
		src, err = gzip.NewReader(f)
		require.NoError(t, err)
	}
	var r struct {
		WorkflowID string          `json:"workflowId"`
		RunID      string          `json:"runId"`
		History    json.RawMessage `json:"history"`
	}
	require.NoError(t, json.NewDecoder(src).Decode(&r))
	history, err := client.HistoryFromJSON(strings.NewReader(string(r.History)), client.HistoryJSONOptions{})
	require.NoError(t, err)
	return workflow.Execution{ID: r.WorkflowID, RunID: r.RunID}, history
}

func replay(execution workflow.Execution, history *historypb.History) error {
	r := worker.NewWorkflowReplayer()
	workflows.Register(r)
	return r.ReplayWorkflowHistoryWithOptions(nil, history, worker.ReplayWorkflowHistoryOptions{OriginalExecution: execution})
}

// The test above can fail: a history whose plan names other activities than were
// scheduled does not replay.
func TestAnAlteredHistoryDoesNotReplay(t *testing.T) {
	execution, history := recorded(t, "testdata/histories/tried_to_the_end.json")
	for _, e := range history.Events {
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
			a.ActivityType.Name += "-other"
		}
	}
	require.ErrorContains(t, replay(execution, history), "nondeterministic")
}
