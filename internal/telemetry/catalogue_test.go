package telemetry_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// full returns metrics in which every metric of grapnel's has values, for that many sources.
func full(t *testing.T, sources int) *telemetry.Metrics {
	t.Helper()
	var names []string
	for i := range sources {
		names = append(names, fmt.Sprintf("partner-%02d", i))
	}
	m := newMetrics(t, telemetry.Labels{Sources: names})
	flow, err := telemetry.NewFlow(m, telemetry.NewStats(zap.NewNop(), nil), series.New(nil), nil)
	require.NoError(t, err)
	for _, s := range names {
		flow.Received(s, "started", time.Millisecond)
		flow.Repeated(s, "duplicate", time.Millisecond)
		flow.Refused(s, "signature", time.Millisecond)
		for _, cause := range []string{"timestamp-too-old", "method", "too-large", "rate"} {
			flow.Refused(s, cause, time.Millisecond)
		}
		flow.Handled(s, time.Second)
	}
	failing := names[:(sources+1)/2]
	for _, s := range failing {
		flow.Died(s, time.Second, "destination.Error")
	}
	for i := range 20 {
		for _, result := range []string{"done", "failed", "permanent"} {
			flow.Attempted(fmt.Sprintf("destination-%02d", i), result, 1, time.Millisecond)
		}
	}
	m.Replayed(names[0])
	m.Collided(names[0])
	m.Abandoned(names[0])
	m.Alerted(t.Context(), "EventsFail", "on")
	m.CircuitChanged("destination-00", "open")
	m.Deferred("destination-00", "circuit")
	m.InFlight(1)
	gauges := map[string]bool{}
	for _, d := range telemetry.Catalogue() {
		if d.Kind != telemetry.Gauge || d.Name == telemetry.MetricInFlight || d.Name == telemetry.MetricLastEvent {
			continue
		}
		gauges[d.Name] = true
		require.NoError(t, m.Observe(d.Name, func(say func(float64, ...string)) {
			switch {
			case len(d.Labels) == 2 && d.Labels[0] == "source":
				for _, s := range failing {
					say(float64(time.Now().Unix()), s, "destination.Error")
				}
			case len(d.Labels) == 1 && d.Labels[0] == "destination":
				for i := range 20 {
					say(0, fmt.Sprintf("destination-%02d", i))
				}
			default:
				say(1, make([]string, len(d.Labels))...)
			}
		}))
	}
	require.NotEmpty(t, gauges)
	sdkCounts(m)
	return m
}

// sdkCounts fills the SDK's metrics as on a busy worker: timers of its calls, polls, tasks and
// slots.
func sdkCounts(m *telemetry.Metrics) {
	sdk := m.SDK().WithTags(map[string]string{"namespace": "default", "client_name": "temporal_go"})
	for _, operation := range []string{
		"StartWorkflowExecution", "RespondWorkflowTaskCompleted", "RespondActivityTaskCompleted", "RespondActivityTaskFailed",
		"PollWorkflowTaskQueue", "PollActivityTaskQueue", "DescribeWorkflowExecution", "ResetWorkflowExecution", "GetSystemInfo",
		"ListWorkflowExecutions", "CountWorkflowExecutions", "DescribeNamespace", "DeleteWorkflowExecution", "DescribeTaskQueue",
	} {
		tagged := sdk.WithTags(map[string]string{"operation": operation})
		tagged.Counter("temporal_request").Inc(1)
		tagged.Counter("temporal_long_request").Inc(1)
		tagged.Timer("temporal_request_latency").Record(time.Millisecond)
		tagged.Timer("temporal_long_request_latency").Record(time.Millisecond)
	}
	timers := func(tags map[string]string, names ...string) {
		for _, name := range names {
			sdk.WithTags(tags).Timer(name).Record(time.Millisecond)
		}
	}
	for _, kind := range []string{"ProcessEvent", "DeadLetter", "Operation"} {
		timers(map[string]string{"task_queue": "grapnel", "worker_type": "WorkflowWorker", "workflow_type": kind},
			"temporal_workflow_task_schedule_to_start_latency", "temporal_workflow_task_execution_latency",
			"temporal_workflow_task_replay_latency", "temporal_workflow_endtoend_latency")
		sdk.WithTags(map[string]string{"task_queue": "grapnel", "workflow_type": kind}).Counter("temporal_workflow_completed").Inc(1)
	}
	for _, kind := range []string{"Deliver", "Try", "Route", "DeleteRun", "zoom meeting started", "zoom meeting ended"} {
		tags := map[string]string{"task_queue": "grapnel", "worker_type": "ActivityWorker", "activity_type": kind}
		timers(tags, "temporal_activity_schedule_to_start_latency", "temporal_activity_execution_latency",
			"temporal_activity_succeed_endtoend_latency", "temporal_local_activity_execution_latency")
		sdk.WithTags(tags).Counter("temporal_activity_execution_failed").Inc(1)
	}
	for _, worker := range []string{"WorkflowWorker", "ActivityWorker", "LocalActivityWorker"} {
		tagged := sdk.WithTags(map[string]string{"task_queue": "grapnel", "worker_type": worker})
		tagged.Gauge("temporal_worker_task_slots_available").Update(1)
		tagged.Gauge("temporal_num_pollers").Update(1)
	}
}

func TestEveryMetricOfTheCatalogueIsThereAndNoOther(t *testing.T) {
	lines := scrape(t, full(t, 2))
	kinds := map[string]string{}
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "# TYPE grapnel_"); ok {
			name, kind, _ := strings.Cut(rest, " ")
			kinds["grapnel_"+name] = kind
		}
	}
	for _, m := range telemetry.Catalogue() {
		require.Equal(t, string(m.Kind), kinds[m.Name], m.Name)
		require.Contains(t, lines, "# HELP "+m.Name+" "+m.Help)
		delete(kinds, m.Name)
	}
	require.Empty(t, kinds, "these are not in the catalogue")
}

func TestAScrapeOfEightySourcesIsSmall(t *testing.T) {
	size := len(strings.Join(scrape(t, full(t, 80)), "\n"))
	t.Logf("%d bytes", size)
	require.Less(t, size, 100<<10)
}

func TestPromtoolFindsNoFaultInTheNames(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("SKIPPED: promtool is not installed (Debian's package prometheus); the names of metrics are not checked")
	}
	var own []string
	for _, line := range scrape(t, full(t, 1)) {
		if strings.Contains(line, "grapnel_") {
			own = append(own, line)
		}
	}
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(strings.Join(own, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestTheDocsAndTheDashboardAreMadeFromTheCatalogue(t *testing.T) {
	dashboard, err := telemetry.Dashboard()
	require.NoError(t, err)
	docs := "# Metrics\n\nThese are grapnel's own metrics at `/metrics` of the admin listener. The Temporal SDK's and the\nprocess's metrics are there too.\n" +
		"Values of labels are configured names or words of the code; all others are counted as `other`.\n\n" + telemetry.MetricsTable()
	for path, want := range map[string]string{
		"../../docs/metrics.md":             docs,
		"../../deploy/grafana/grapnel.json": string(dashboard) + "\n",
	} {
		if os.Getenv("GRAPNEL_UPDATE_GOLDEN") != "" {
			require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(got), "%s: write it anew with GRAPNEL_UPDATE_GOLDEN=1", path)
	}
}

// The parts of a dashboard that are checked.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr, RefID string }
	}
}

func TestEachPanelAsksForMetricsThatExist(t *testing.T) {
	text, err := telemetry.Dashboard()
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(text, &d))
	require.NotEmpty(t, d.Panels)
	var rules strings.Builder
	rules.WriteString("groups:\n- name: panels\n  rules:\n")
	for i, p := range d.Panels {
		require.NotEmpty(t, p.Targets, p.Title)
		for j, q := range p.Targets {
			fmt.Fprintf(&rules, "  - {record: 'panel:%d:%d', expr: '%s'}\n", i, j, q.Expr)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("SKIPPED: promtool is not installed (Debian's package prometheus); the queries of the dashboard are not checked")
	}
	file := t.TempDir() + "/panels.yml"
	require.NoError(t, os.WriteFile(file, []byte(rules.String()), 0o600))
	out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
