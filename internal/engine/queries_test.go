package engine_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// TestHowLongQueriesTake prints how long Temporal takes for the queries of README, dlq, the page
// and the Web UI: a list of 100, and a count. GRAPNEL_QUERIES is the address of a Temporal with
// many events. docs/performance.md has a result.
func TestHowLongQueriesTake(t *testing.T) {
	address := os.Getenv("GRAPNEL_QUERIES")
	if address == "" {
		t.Skip("set GRAPNEL_QUERIES to host:port of a Temporal, as that of `grapnel up`")
	}
	c, err := client.Dial(client.Options{HostPort: address})
	require.NoError(t, err)
	defer c.Close()
	const dead = `WorkflowType="DeadLetter" AND ExecutionStatus="Failed"`
	day := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for _, q := range []struct{ name, query string }{
		{"everything", ""},
		{"dead letters", dead},
		{"dead letters of a reason", dead + ` AND EventReason="answered 410 Gone"`},
		{"dead letters of a source and type", dead + ` AND EventSource="zoom" AND EventType="meeting.bank"`},
		{"broken", `WorkflowType="ProcessEvent" AND ExecutionStatus IN ("Failed", "Terminated", "TimedOut")`},
		{"running", `ExecutionStatus="Running"`},
		{"completed", `ExecutionStatus="Completed"`},
		{"type of workflow", `WorkflowType="ProcessEvent"`},
		{"one event", `WorkflowId="d0a5c5c2f0b3f1f5fb2f7a2a3b7e5a3a9b0c9a1fd5a1b2c3d4e5f60718293a4b"`},
		{"source", `EventSource="zoom"`},
		{"source and type", `EventSource="zoom" AND EventType="ok.x"`},
		{"subject", `EventSubject="Weekly 77"`},
		{"time of the event", `EventTime > "` + day + `"`},
		{"start time", `StartTime > "` + day + `"`},
		{"close time", `CloseTime > "` + day + `"`},
		{"execution time", `ExecutionTime > "` + day + `"`},
		{"parent", `ParentWorkflowId="nobody"`},
		{"task queue", `TaskQueue="grapnel"`},
		{"history length", `HistoryLength > 100`},
		{"duration", `ExecutionDuration > "1h"`},
	} {
		median := func(call func() error) time.Duration {
			var took []time.Duration
			for range 5 {
				began := time.Now()
				require.NoError(t, call(), q.name)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			return took[2].Round(time.Millisecond)
		}
		shown := 0
		list := median(func() error {
			r, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: q.query, PageSize: 100})
			shown = len(r.GetExecutions())
			return err
		})
		var n int64
		count := median(func() error {
			r, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: q.query})
			n = r.GetCount()
			return err
		})
		t.Logf("%-34s list of %3d %8s   count %7d %8s", q.name, shown, list, n, count)
	}
}
