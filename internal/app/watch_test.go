package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/spool"
	"github.com/grapnel/grapnel/starter"
	"github.com/grapnel/grapnel/worker"
)

// clock is a clock that runs, and that a test can also move forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// temporal is a Temporal client that answers the calls of a watch. Other calls panic.
type temporal struct {
	client.Client
	mu     sync.Mutex
	died   []time.Time
	polled time.Time
}

func (t *temporal) dies(at ...time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.died = at
}

func (t *temporal) polls(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.polled = at
}

func (t *temporal) CountWorkflow(_ context.Context, r *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !strings.Contains(r.GetQuery(), event.DeadLetter) {
		return &workflowservice.CountWorkflowExecutionsResponse{}, nil
	}
	return &workflowservice.CountWorkflowExecutionsResponse{Count: int64(len(t.died))}, nil
}

func (t *temporal) ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	outline, err := converter.GetDefaultDataConverter().ToPayload(event.Outline{Reason: "503 Service Unavailable", Routes: []string{"crm"}})
	if err != nil {
		return nil, err
	}
	r := &workflowservice.ListWorkflowExecutionsResponse{}
	for i, at := range t.died {
		r.Executions = append(r.Executions, &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: fmt.Sprintf("%064x", i), RunId: "r"},
			Type:      &commonpb.WorkflowType{Name: event.DeadLetter}, Status: enumspb.WORKFLOW_EXECUTION_STATUS_FAILED,
			StartTime: timestamppb.New(at), CloseTime: timestamppb.New(at),
			Memo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{event.MemoOutline: outline}},
		})
	}
	return r, nil
}

func (t *temporal) DescribeTaskQueue(context.Context, string, enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &workflowservice.DescribeTaskQueueResponse{}
	if !t.polled.IsZero() {
		r.Pollers = append(r.Pollers, &taskqueuepb.PollerInfo{LastAccessTime: timestamppb.New(t.polled)})
	}
	return r, nil
}

// plant is a process with its watch, without receiver and worker.
type plant struct {
	*app.Watched
	clock    *clock
	temporal *temporal
	spool    *spool.Spool
	// down makes its destination fail.
	down atomic.Bool
	// told are the bodies that the target of alerts has received.
	told chan string
	file string
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	p := &plant{clock: &clock{}, temporal: &temporal{}, told: make(chan string, 99)}
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if p.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(crm.Close)
	ops := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.told <- string(body)
	}))
	t.Cleanup(ops.Close)
	p.file = fmt.Sprintf(`
sources:
  shop: {provider: generic-token, secrets: [a-token-for-the-tests]}
destinations:
  crm: {events: ["shop/*"], http: {url: %q}, allow_private: [127.0.0.1], breaker: {min_calls: 3, open: 100ms, probes: 1}}
alerts:
  page: https://ops.example.com/grapnel/
  targets:
    ops: {url: %q, allow_private: [127.0.0.1]}
`, crm.URL, ops.URL)
	cfg := configured(t, p.file)
	var err error
	p.spool, err = spool.Open(spool.Options{Path: t.TempDir(), MaxBytes: 64 << 10, Clock: p.clock.now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.spool.Close()) })
	p.Watched, err = app.NewWatched(p.temporal, cfg, p.spool, zap.NewNop(), p.clock.now)
	require.NoError(t, err)
	return p
}

func configured(t *testing.T, yaml string) *config.Config {
	t.Helper()
	c, err := config.Parse("grapnel.yaml", []byte(yaml), func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	return c
}

// on looks once and returns the rules that are on.
func (p *plant) on(t *testing.T) []string {
	t.Helper()
	p.Look(t.Context())
	rules := []string{}
	for _, a := range p.Alerts().Active() {
		rules = append(rules, a.Rule)
	}
	return rules
}

func (p *plant) times(n int, do func()) {
	for range n {
		do()
	}
}

func (p *plant) died() {
	p.Heard().Died(event.Event{Source: "shop", Type: "order", Received: time.Now()}, event.Letter{Failures: []event.Failure{{Route: "crm", Type: "503"}}})
}

func (p *plant) received() {
	p.Heard().Began()
	p.Heard().Answered(starter.Answer{Source: "shop", Outcome: string(starter.Started)})
}

func (p *plant) delivers(t *testing.T) error {
	t.Helper()
	return p.Deliver(t.Context(), "crm", destination.Delivery{Event: event.Event{ID: "x", Source: "shop"}, Attempt: 1})
}

// troubles has, for each rule, a function that causes its alert and one that ends it.
func troubles() map[string]struct{ begin, end func(t *testing.T, p *plant) } {
	type trouble = struct{ begin, end func(t *testing.T, p *plant) }
	pass := func(d time.Duration) func(*testing.T, *plant) {
		return func(_ *testing.T, p *plant) { p.clock.forward(d) }
	}
	drain := func(t *testing.T, p *plant) {
		t.Helper()
		for p.spool.Stats().Depth > 0 {
			all, err := p.spool.Next(t.Context(), 100)
			require.NoError(t, err)
			for _, e := range all {
				p.spool.Done(e)
			}
		}
	}
	keep := func(t *testing.T, p *plant, size int) {
		t.Helper()
		require.NoError(t, p.spool.Put(t.Context(), spool.Entry{Key: fmt.Sprint(p.spool.Stats().Depth), Body: make([]byte, size)}))
	}
	dead := func(ages ...time.Duration) func(*testing.T, *plant) {
		return func(_ *testing.T, p *plant) {
			var at []time.Time
			for _, age := range ages {
				at = append(at, p.clock.now().Add(-age))
			}
			p.temporal.dies(at...)
		}
	}
	return map[string]trouble{
		alert.EventsFail: {func(_ *testing.T, p *plant) { p.times(11, p.died) }, pass(16 * time.Minute)},
		alert.HandlerPanics: {func(_ *testing.T, p *plant) {
			p.Heard().Attempted(worker.Attempt{Route: "shop", Result: worker.Panicked})
		}, pass(16 * time.Minute)},
		alert.SourceSilent: {
			func(t *testing.T, p *plant) {
				t.Helper()
				p.times(20, p.received)
				require.Empty(t, p.on(t))
				p.clock.forward(7 * 24 * time.Hour)
				p.temporal.polls(p.clock.now())
			},
			func(_ *testing.T, p *plant) { p.received() },
		},
		alert.NoWorker: {pass(4 * time.Minute), func(_ *testing.T, p *plant) { p.temporal.polls(p.clock.now()) }},
		alert.SpoolStuck: {
			func(t *testing.T, p *plant) {
				t.Helper()
				keep(t, p, 1)
				p.clock.forward(6 * time.Minute)
				p.temporal.polls(p.clock.now())
			},
			drain,
		},
		alert.SpoolNearlyFull: {func(t *testing.T, p *plant) { t.Helper(); p.times(6, func() { keep(t, p, 9<<10) }) }, drain},
		alert.CircuitOpen: {
			func(t *testing.T, p *plant) {
				t.Helper()
				p.down.Store(true)
				for range 3 {
					require.Error(t, p.delivers(t))
				}
				// On a slow machine the breaker may be half-open already, and let a delivery
				// through.
				require.Eventually(t, func() bool {
					_, deferred := errors.AsType[*destination.Deferred](p.delivers(t))
					return deferred
				}, time.Minute, time.Millisecond)
			},
			func(t *testing.T, p *plant) {
				t.Helper()
				require.Eventually(t, func() bool { return p.Circuit("crm") == "half-open" }, time.Minute, 10*time.Millisecond)
				require.Contains(t, p.on(t), alert.CircuitOpen, "it is tried out, and not back yet")
				p.down.Store(false)
				require.Eventually(t, func() bool { return p.delivers(t) == nil }, time.Minute, 20*time.Millisecond)
			},
		},
		alert.DeadLettersGrow: {
			func(t *testing.T, p *plant) {
				t.Helper()
				require.Empty(t, p.on(t))
				p.clock.forward(time.Hour)
				p.temporal.polls(p.clock.now())
				dead(make([]time.Duration, 11)...)(t, p)
			},
			dead(),
		},
		alert.OldDeadLetter:     {dead(25 * time.Hour), dead()},
		alert.DeadLetterExpires: {dead(28 * 24 * time.Hour), dead()},
	}
}

func TestWhatHappensReachesItsAlertAndItClears(t *testing.T) {
	t.Parallel()
	all := troubles()
	require.Len(t, all, len(alert.Rules()))
	for _, rule := range alert.Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			t.Parallel()
			p := newPlant(t)
			require.Empty(t, p.on(t))
			all[rule.Name].begin(t, p)
			p.on(t)
			p.clock.forward(rule.For)
			require.Contains(t, p.on(t), rule.Name)
			told := <-p.told
			require.Contains(t, told, `"grapnel.alert.on"`)
			require.Contains(t, told, "https://ops.example.com/grapnel/runbooks/")
			all[rule.Name].end(t, p)
			require.NotContains(t, p.on(t), rule.Name)
			past := p.Alerts().Past()
			require.True(t, slices.ContainsFunc(past, func(a alert.Alert) bool { return a.Rule == rule.Name }))
		})
	}
}

func TestAChangedConfigurationReachesTheAlerts(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	p.times(11, p.died)
	require.Equal(t, []string{alert.EventsFail}, p.on(t))
	require.Contains(t, <-p.told, "grapnel.alert.on")

	other := make(chan string, 9)
	next := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		other <- string(body)
	}))
	t.Cleanup(next.Close)
	sources, _, _ := strings.Cut(p.file, "alerts:")
	require.NoError(t, p.Reconfigure(configured(t, sources+fmt.Sprintf(`
alerts:
  failure_share: 0
  dead_letter_age: 1h
  page: https://new.example.com
  targets: {chat: {format: slack, url: %q, allow_private: [127.0.0.1]}}
`, next.URL))))
	p.temporal.dies(p.clock.now().Add(-2 * time.Hour))
	p.clock.forward(time.Minute) // A count of dead letters is used for a minute.
	require.Equal(t, []string{alert.OldDeadLetter}, p.on(t), "by the limits that are in force now")
	require.Equal(t, "https://new.example.com/runbooks/OldDeadLetter", p.Alerts().Active()[0].Runbook)
	told := <-other + <-other
	require.Contains(t, told, "*EventsFail* is over")
	require.Contains(t, told, "*OldDeadLetter*: ")
	require.Empty(t, p.told, "who was told before is not told any more")
}
