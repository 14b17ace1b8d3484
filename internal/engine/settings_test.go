package engine_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// Sizes of TestWhatEachSettingCosts.
const (
	settingsEvents = 300
	settingsAtOnce = 16
	settingsIdle   = 30 * time.Second
	settingsSteady = 400 // events at 50 a second
)

// TestWhatEachSettingCosts measures the cost of an event, and of idling, for embedded engines that
// differ from ours in one setting each. The control is the engine as it is; a second one of these
// shows how much the figures vary. GRAPNEL_SETTINGS is the number of rounds. GRAPNEL_SETTINGS_CASE
// selects the cases whose names contain it. docs/performance.md has a result.
func TestWhatEachSettingCosts(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("GRAPNEL_SETTINGS"))
	if rounds < 1 || runtime.GOOS != "linux" {
		t.Skip("set GRAPNEL_SETTINGS to a number of rounds, best 7, on Linux")
	}
	dynamic := func(settings ...string) (args []string) {
		for _, s := range settings {
			args = append(args, "--dynamic-config-value", s)
		}
		return args
	}
	cases := []*settingsCase{
		{name: "as it is"},
		{name: "as it is, again"},
		{name: "stock settings and indexes", stock: true},
		{name: "all indexes", indexes: true},
		{name: "visibility polled 20 times a second", args: dynamic("history.visibilityProcessorMaxPollRPS=20")},
		{name: "attributes read in each call", args: dynamic("system.forceSearchAttributesCacheRefreshOnRead=true")},
		{name: "1 s between two runs of an ID", args: dynamic(`history.workflowIdReuseMinimalInterval="1s"`)},
		{name: "transfer position saved every 30 s", args: dynamic(`history.transferProcessorUpdateAckInterval="30s"`)},
		{name: "16 visibility records at once", args: dynamic("history.visibilityProcessorSchedulerWorkerCount=16")},
		{name: "4 visibility records at once", args: dynamic("history.visibilityProcessorSchedulerWorkerCount=4")},
		{name: "2 visibility records at once", args: dynamic("history.visibilityProcessorSchedulerWorkerCount=2")},
		{name: "1 visibility record at once", args: dynamic("history.visibilityProcessorSchedulerWorkerCount=1")},
		{name: "one partition of a task queue", args: dynamic(
			"matching.numTaskqueueReadPartitions=1", "matching.numTaskqueueWritePartitions=1")},
		{name: "log level error", args: []string{"--log-level", "error"}},
		{name: "log level info", args: []string{"--log-level", "info"}},
	}
	cases = slices.DeleteFunc(cases, func(c *settingsCase) bool {
		return !strings.HasPrefix(c.name, "as it is") && !strings.Contains(c.name, os.Getenv("GRAPNEL_SETTINGS_CASE"))
	})
	for _, c := range cases {
		c.start(t)
	}
	for round := range rounds + 1 {
		for i := range cases { // The order moves on by one in each round.
			c := cases[(i+round)%len(cases)]
			cpu, written := c.load(t, round)
			took := c.steady(t, round)
			if round > 0 { // The first round only warms up.
				c.cpu, c.written, c.took = append(c.cpu, cpu), append(c.written, written), append(c.took, took...)
			}
		}
	}
	before := make([]time.Duration, len(cases))
	for i, c := range cases {
		before[i] = engineCPU(t, c.pid)
	}
	time.Sleep(settingsIdle)
	for i, c := range cases {
		c.idle = engineCPU(t, c.pid) - before[i]
	}
	control := cases[0]
	for _, c := range cases {
		ratios := make([]float64, rounds)
		for i := range ratios {
			ratios[i] = c.cpu[i] / control.cpu[i]
		}
		slices.Sort(ratios)
		slices.Sort(c.cpu)
		slices.Sort(c.written)
		slices.Sort(c.took)
		t.Logf("%-36s CPU %5.2f ms an event, %.2f of the control (%.2f to %.2f); %4.0f KB written; idle %4.1f ms of CPU a second; at 50/s p50 %5.1f ms, p99 %5.1f ms",
			c.name, c.cpu[rounds/2], ratios[rounds/2], ratios[0], ratios[rounds-1], c.written[rounds/2],
			float64(c.idle.Milliseconds())/settingsIdle.Seconds(),
			float64(c.took[len(c.took)/2].Microseconds())/1000, float64(c.took[len(c.took)*99/100].Microseconds())/1000)
	}
}

// settingsCase is one embedded engine and what was measured of it.
type settingsCase struct {
	name    string
	args    []string
	stock   bool
	indexes bool

	pid          int
	client       client.Client
	cpu, written []float64       // Per event and round: milliseconds, kilobytes.
	took         []time.Duration // Per event at 50 a second: from the start to the last activity.
	handled      sync.Map        // The time of the last activity, by workflow ID.
	idle         time.Duration
}

// start runs the engine and a worker that handles an event as grapnel does: an eager start, and two
// local activities in the first workflow task.
func (c *settingsCase) start(t *testing.T) {
	o := options(t)
	o.Stock, o.KeepIndexes = c.stock, c.indexes
	e := start(t, o.With(c.args...))
	c.pid, c.client = e.PID, dial(t, e.Settings())
	w := worker.New(c.client, "settings", worker.Options{})
	handle := func(_ context.Context, id string) error {
		c.handled.Store(id, time.Now())
		return nil
	}
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, _ string) error {
		ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{ScheduleToCloseTimeout: time.Minute})
		for range 2 {
			if err := workflow.ExecuteLocalActivity(ctx, handle, workflow.GetInfo(ctx).WorkflowExecution.ID).Get(ctx, nil); err != nil {
				return err
			}
		}
		return nil
	}, workflow.RegisterOptions{Name: "Settings"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
}

// load handles a round's events and returns what each cost the engine: CPU in milliseconds and
// kilobytes written, including the visibility records that it writes later.
func (c *settingsCase) load(t *testing.T, round int) (cpu, written float64) {
	cpuBefore, writtenBefore := engineCPU(t, c.pid), engineWritten(t, c.pid)
	numbers := make(chan int)
	var workers sync.WaitGroup
	for range settingsAtOnce {
		workers.Go(func() {
			for n := range numbers {
				c.event(t, fmt.Sprintf("%d-%d", round, n))
			}
		})
	}
	for n := range settingsEvents {
		numbers <- n
	}
	close(numbers)
	workers.Wait()
	time.Sleep(3 * time.Second) // Visibility records and the positions of queues are written later.
	return float64((engineCPU(t, c.pid) - cpuBefore).Microseconds()) / 1000 / settingsEvents,
		float64(engineWritten(t, c.pid)-writtenBefore) / 1024 / settingsEvents
}

// steady handles events at 50 a second and returns how long each took until its last activity.
func (c *settingsCase) steady(t *testing.T, round int) []time.Duration {
	took := make([]time.Duration, settingsSteady)
	var events sync.WaitGroup
	began := time.Now()
	for n := range took {
		time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / 50)))
		events.Go(func() {
			id, began := fmt.Sprintf("%d-steady-%d", round, n), time.Now()
			c.event(t, id)
			if at, ok := c.handled.LoadAndDelete(id); ok {
				took[n] = at.(time.Time).Sub(began)
			}
		})
	}
	events.Wait()
	return took
}

// event starts a workflow and waits for its end.
func (c *settingsCase) event(t *testing.T, id string) {
	attributes := temporal.NewSearchAttributes(
		temporal.NewSearchAttributeKeyKeyword(event.AttributeSource).ValueSet("zoom"),
		temporal.NewSearchAttributeKeyKeyword(event.AttributeType).ValueSet("meeting.started"),
		temporal.NewSearchAttributeKeyKeyword(event.AttributeSubject).ValueSet("Weekly Team Meeting"),
		temporal.NewSearchAttributeKeyTime(event.AttributeTime).ValueSet(time.Now()),
	)
	run, err := c.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: "settings", EnableEagerStart: true, TypedSearchAttributes: attributes,
	}, "Settings", strings.Repeat("x", 500))
	if err == nil {
		err = run.Get(t.Context(), nil)
	}
	if err != nil {
		t.Error(err)
	}
}

// engineCPU is the CPU time that a process has used so far.
func engineCPU(t *testing.T, pid int) time.Duration {
	p, err := procfs.NewProc(pid)
	require.NoError(t, err)
	stat, err := p.Stat()
	require.NoError(t, err)
	return time.Duration(stat.CPUTime() * float64(time.Second))
}

// engineWritten is how many bytes a process has written so far.
func engineWritten(t *testing.T, pid int) int64 {
	p, err := procfs.NewProc(pid)
	require.NoError(t, err)
	io, err := p.IO()
	require.NoError(t, err)
	return int64(io.WChar)
}
