package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert" //nolint:depguard // EventuallyWithT has its type.
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/event"
)

// The attributes are cached, so one that an upgrade adds to an old database must
// be known when Start returns: the first event that uses it must not be refused.
func TestASearchAttributeThatAnUpgradeAddsIsKnownAtOnce(t *testing.T) {
	o := options(t)
	o.Namespace = "events"
	old := start(t, o)
	c := dial(t, old.Settings())
	forget(t, c, o.Namespace, event.AttributeSource, event.AttributeTime)
	require.NoError(t, old.Stop(within(t)))

	upgraded := start(t, o)
	c = dial(t, upgraded.Settings())
	startWorkflow(t, c, "the-first")
	query := event.AttributeSource + `="zoom" AND ` + event.AttributeTime + `<"2030-01-01T00:00:00Z"`
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		found, err := c.CountWorkflow(context.Background(), &workflowservice.CountWorkflowExecutionsRequest{Namespace: o.Namespace, Query: query})
		require.NoError(t, err)
		require.Equal(t, int64(1), found.GetCount())
	}, limit, 10*time.Millisecond)
	described, err := c.DescribeWorkflowExecution(within(t), "the-first", "")
	require.NoError(t, err)
	require.Contains(t, described.GetWorkflowExecutionInfo().GetSearchAttributes().GetIndexedFields(), event.AttributeSource)

	t.Run("and so is one added while it serves", func(t *testing.T) {
		forget(t, c, o.Namespace, event.AttributeSubject)
		_, err := engine.Setup(within(t), c, engine.SetupOptions{Namespace: o.Namespace})
		require.NoError(t, err)
		startWorkflow(t, c, "the-second")
	})
}

// forget removes search attributes from a namespace, so that it looks as if an earlier version had
// made it.
func forget(t *testing.T, c client.Client, namespace string, names ...string) {
	t.Helper()
	found, err := c.WorkflowService().DescribeNamespace(within(t), &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	require.NoError(t, err)
	gone := map[string]string{}
	for column, alias := range found.GetConfig().GetCustomSearchAttributeAliases() {
		for _, name := range names {
			if alias == name {
				gone[column] = ""
			}
		}
	}
	require.Len(t, gone, len(names))
	_, err = c.WorkflowService().UpdateNamespace(within(t), &workflowservice.UpdateNamespaceRequest{
		Namespace: namespace, Config: &namespacepb.NamespaceConfig{CustomSearchAttributeAliases: gone},
	})
	require.NoError(t, err)
}

// Temporal delays a run that follows another of its ID by the minimal interval; the run's first
// event says how long. A dead letter and its replay would be delayed too.
func TestARunFollowsAnotherOfItsIDWithoutDelay(t *testing.T) {
	o := options(t)
	o.InMemory = true
	c := dial(t, start(t, o).Settings())
	w := worker.New(c, "twice", worker.Options{})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, again bool) error {
		if again {
			return workflow.NewContinueAsNewError(ctx, "Twice", false)
		}
		return nil
	}, workflow.RegisterOptions{Name: "Twice"})
	require.NoError(t, w.Start())
	defer w.Stop()
	run, err := c.ExecuteWorkflow(within(t), client.StartWorkflowOptions{ID: "twice", TaskQueue: "twice"}, "Twice", true)
	require.NoError(t, err)
	first := run.GetRunID()
	require.NoError(t, run.Get(within(t), nil))
	require.NotEqual(t, first, run.GetRunID())
	event, err := c.GetWorkflowHistory(within(t), "twice", run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
	require.NoError(t, err)
	require.Zero(t, event.GetWorkflowExecutionStartedEventAttributes().GetFirstWorkflowTaskBackoff().AsDuration())
}

// The dead letters of a Temporal that runs elsewhere show which settings it has.
func TestSettingsAreToldByTheirEffects(t *testing.T) {
	for _, c := range []struct {
		name  string
		stock bool
		want  engine.State
	}{{"a stock dev server makes a run wait", true, engine.Off}, {"ours does not", false, engine.Set}} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t)
			o.InMemory, o.Stock = true, c.stock
			e := start(t, o)
			client := dial(t, e.Settings())
			elsewhere, err := engine.Resolve([]string{"TEMPORAL_ADDRESS=" + e.Address})
			require.NoError(t, err)
			found, err := engine.Tuning(within(t), client, elsewhere)
			require.NoError(t, err)
			require.Equal(t, engine.Unknown, found[0].State, "without dead letters nothing can be told")
			require.Contains(t, found[2].Detail, "dev server")
			fail(t, client)
			require.EventuallyWithT(t, func(t *assert.CollectT) {
				found, err := engine.Tuning(context.Background(), client, elsewhere)
				require.NoError(t, err)
				require.Equal(t, c.want, found[0].State, found)
			}, limit, 50*time.Millisecond)
			found, err = engine.Tuning(within(t), client, e.Settings())
			require.NoError(t, err)
			require.Empty(t, found, "of an engine of our own there is nothing to tell")
		})
	}
}

// fail makes dead letters as ProcessEvent does. It makes several, because one whose first run takes
// over half a second shows nothing.
func fail(t *testing.T, c client.Client) {
	t.Helper()
	w := worker.New(c, "fail", worker.Options{})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		return workflow.NewContinueAsNewError(ctx, event.DeadLetter)
	}, workflow.RegisterOptions{Name: event.ProcessEvent})
	w.RegisterWorkflowWithOptions(func(workflow.Context) error {
		return errors.New("no luck")
	}, workflow.RegisterOptions{Name: event.DeadLetter})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	for i := range 10 {
		run, err := c.ExecuteWorkflow(within(t), client.StartWorkflowOptions{ID: strconv.Itoa(i), TaskQueue: "fail"}, event.ProcessEvent)
		require.NoError(t, err)
		require.Error(t, run.Get(within(t), nil))
	}
}

func TestTheEngineYieldsToTheReceiver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("niceness is read from /proc")
	}
	e := start(t, options(t).Beside(false))
	ours := niceness(t, "/proc/self/task")[0] // A thread that has started an engine has a higher niceness.
	require.Equal(t, []int{min(ours+10, 19)}, slices.Compact(niceness(t, fmt.Sprintf("/proc/%d/task", e.PID))))
}

// niceness returns the niceness of each thread of a process, sorted. It is field 19 of the thread's
// stat file; the fields are counted from behind the name.
func niceness(t *testing.T, tasks string) []int {
	t.Helper()
	threads, err := filepath.Glob(filepath.Join(tasks, "*", "stat"))
	require.NoError(t, err)
	var all []int
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			continue // The thread has ended meanwhile.
		}
		_, behind, found := strings.Cut(string(text), ") ")
		require.True(t, found)
		n, err := strconv.Atoi(strings.Fields(behind)[16])
		require.NoError(t, err)
		all = append(all, n)
	}
	require.NotEmpty(t, all)
	slices.Sort(all)
	return all
}
