package cluster_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/workflows"
)

// present is the image of this checkout.
const present = "grapnel:local"

// TestNeighbouringVersionsWorkTogether begins with the earlier version of CLUSTER_PREVIOUS_IMAGE,
// rolls out this one, goes back and comes here again, one container after the other under load.
// Events that wait and dead letters are made before each move, so that both versions go on with
// runs that the other began.
func TestNeighbouringVersionsWorkTogether(t *testing.T) {
	previous := os.Getenv("CLUSTER_PREVIOUS_IMAGE")
	if previous == "" {
		t.Skip("SKIPPED: CLUSTER_PREVIOUS_IMAGE names no image of an earlier version")
	}
	t.Setenv("GRAPNEL_IMAGE", previous)
	c := start(t)
	was := c.grapnel("version")
	report := newReport(t, "versions.txt")
	report.line("%-36s %6s %6s %9s %8s %7s %5s", "", "200", "5xx", "no answer", "slowest", "handled", "again")

	c.tell("later", 503)
	c.tell("flaky", 500)
	l := c.load()
	c.eventually("events are delivered", func() bool { return len(c.delivered("load")) > rate })
	l.count()
	var waiting, letters []string
	for i, image := range []string{present, previous, present} {
		waiting = append(waiting, c.postSome("later", i)...)
		letters = append(letters, c.postSome("flaky", i)...)
		c.eventually("dead letters are in the stock list", func() bool { return c.count(deadLetters) == len(letters) })
		for _, service := range away() {
			c.replace(service, image)
			time.Sleep(3 * time.Second) // The load meets this mix of versions.
			report.moved(c, l, service+" is "+image)
		}
	}
	require.NotEqual(t, was, c.grapnel("version"), "the versions differ")

	c.tell("later", 200)
	c.tell("flaky", 200)
	c.grapnel(append([]string{"dlq", "replay", "--reason", "rolled out"}, letters...)...)
	c.eventually("every event that waited is delivered", func() bool { return len(missing(waiting, c.delivered("later"))) == 0 })
	c.eventually("every dead letter is replayed", func() bool { return len(missing(letters, c.delivered("flaky"))) == 0 })
	c.recovered(l)
	l.stop()
	<-l.done
	c.account(l, report)
	report.line("%d runs that both versions worked on, and %d others, replay.", c.replayAll(slices.Concat(waiting, letters)...), c.replayAll())
}

// moved says what became of the load since the report was written last.
func (r *report) moved(c *cluster, l *load, what string) {
	r.t.Helper()
	got := c.delivered("load")
	n := l.count()
	r.line("%-36s %6d %6d %9d %8s %7d %5d", what, n.acked, n.failed, n.silent, n.slowest.Round(time.Millisecond), len(got)-r.handled, repeats(got)-r.again)
	r.handled, r.again = len(got), repeats(got)
}

// replace puts a container of an image in the place of a service's.
func (c *cluster) replace(service, image string) {
	c.t.Helper()
	c.env = append(c.env, "GRAPNEL_IMAGE="+image)
	c.run("up", "--detach", "--no-build", "--no-deps", "--wait", service)
	require.Equal(c.t, image, c.docker("inspect", "--format", "{{.Config.Image}}", c.container(service)))
}

// postSome sends five events to a path of the sink and gives their IDs.
func (c *cluster) postSome(path string, round int) []string {
	c.t.Helper()
	var ids []string
	for i := range 5 {
		body, id := zoomEvent(path+".sent", fmt.Sprintf("%s-%d-%d", path, round, i))
		c.post(body)
		ids = append(ids, id)
	}
	return ids
}

// replayAll replays with this version's workflows all runs of these IDs, or without an ID a hundred
// runs of any, and gives how many they were. None may have been found to differ from what the code
// does while it ran.
func (c *cluster) replayAll(ids ...string) int {
	c.t.Helper()
	cl, err := client.Dial(client.Options{HostPort: temporal})
	require.NoError(c.t, err)
	defer cl.Close()
	queries := []string{""}
	if len(ids) > 0 {
		queries = nil
	}
	for _, id := range ids {
		queries = append(queries, fmt.Sprintf("WorkflowId = %q", id))
	}
	r := worker.NewWorkflowReplayer()
	workflows.Register(r)
	n := 0
	for _, query := range queries {
		list, err := cl.ListWorkflow(c.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Namespace: "default", Query: query, PageSize: 100})
		require.NoError(c.t, err)
		for _, run := range list.Executions {
			id, runID := run.Execution.WorkflowId, run.Execution.RunId
			history := &historypb.History{}
			events := cl.GetWorkflowHistory(c.t.Context(), id, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
			for events.HasNext() {
				e, err := events.Next()
				require.NoError(c.t, err)
				cause := e.GetWorkflowTaskFailedEventAttributes().GetCause()
				require.NotEqual(c.t, enumspb.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR, cause, "%s: %v", id, e)
				history.Events = append(history.Events, e)
			}
			err := r.ReplayWorkflowHistoryWithOptions(nil, history, worker.ReplayWorkflowHistoryOptions{
				OriginalExecution: workflow.Execution{ID: id, RunID: runID},
			})
			require.NoError(c.t, err, id)
			n++
		}
	}
	return n
}
