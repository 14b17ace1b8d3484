package telemetry_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/telemetry"
)

func newMetrics(t *testing.T, l telemetry.Labels) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.NewMetrics(l, zap.NewNop())
	require.NoError(t, err)
	return m
}

// scrape returns the lines of /metrics.
func scrape(t *testing.T, m *telemetry.Metrics) []string {
	t.Helper()
	srv := httptest.NewServer(m.Handler())
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, http.StatusOK, res.StatusCode)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return strings.Split(string(text), "\n")
}

func TestEachInstrumentShowsItsSourceAndOutcome(t *testing.T) {
	m := newMetrics(t, telemetry.Labels{Sources: []string{"zoom"}})
	m.Received("zoom", "started", time.Millisecond)
	m.Received("zoom", "started", time.Millisecond)
	m.Received("zoom", "duplicate", time.Millisecond)
	m.Processed("zoom", 20*time.Millisecond)
	m.Failed("zoom", 3*time.Second)
	m.DeadLetter("zoom", "NoHandler")
	m.Replayed("zoom")
	m.Collided("zoom")
	m.Abandoned("zoom")
	m.Started("started", 4*time.Millisecond)
	m.InFlight(2)
	m.InFlight(-1)
	lines := scrape(t, m)
	for _, want := range []string{
		`grapnel_received_total{outcome="started",source="zoom"} 2`,
		`grapnel_received_total{outcome="duplicate",source="zoom"} 1`,
		`grapnel_processed_total{source="zoom"} 1`,
		`grapnel_failed_total{source="zoom"} 1`,
		`grapnel_processing_duration_seconds_bucket{result="processed",le="0.01"} 0`,
		`grapnel_processing_duration_seconds_bucket{result="processed",le="0.025"} 1`,
		`grapnel_processing_duration_seconds_sum{result="failed"} 3`,
		`grapnel_dead_letters_total{reason="NoHandler",source="zoom"} 1`,
		`grapnel_replays_total{source="zoom"} 1`,
		`grapnel_collisions_total{source="zoom"} 1`,
		`grapnel_abandoned_total{source="zoom"} 1`,
		`grapnel_start_duration_seconds_count{outcome="started"} 1`,
		`grapnel_requests_in_flight 1`,
	} {
		require.Contains(t, lines, want)
	}
}

func TestClocksThatDifferNeverMakeASumFall(t *testing.T) {
	m := newMetrics(t, telemetry.Labels{Sources: []string{"zoom"}})
	m.Processed("zoom", 3*time.Second)
	m.Processed("zoom", -4*time.Minute)
	m.Failed("zoom", -4*time.Minute)
	lines := scrape(t, m)
	require.Contains(t, lines, `grapnel_processing_duration_seconds_sum{result="processed"} 3`)
	require.Contains(t, lines, `grapnel_processing_duration_seconds_sum{result="failed"} 0`)
}

func TestStrangersMakeNoTimeSeries(t *testing.T) {
	m := newMetrics(t, telemetry.Labels{Sources: []string{"zoom"}})
	for i := range 100 {
		m.Received(fmt.Sprintf("stranger-%d", i), "unknown_source", time.Millisecond)
		m.Processed(fmt.Sprintf("stranger-%d", i), time.Second)
	}
	m.Processed("zoom", time.Second)
	lines := scrape(t, m)
	require.Contains(t, lines, `grapnel_received_total{outcome="unknown_source",source="other"} 100`)
	require.Contains(t, lines, `grapnel_processed_total{source="other"} 100`)
	require.Contains(t, lines, `grapnel_processed_total{source="zoom"} 1`)
	require.NotContains(t, strings.Join(lines, "\n"), "stranger")
}

func TestTooManyCombinationsAreCountedAsOne(t *testing.T) {
	m := newMetrics(t, telemetry.Labels{Sources: []string{"zoom"}})
	const most = 10_000
	for i := range most + 50 {
		m.Received("zoom", fmt.Sprintf("outcome-%d", i), time.Millisecond)
	}
	require.Less(t, len(scrape(t, m)), most+200)
}

func TestANewSourceIsKnownAfterTheConfigurationChanged(t *testing.T) {
	m := newMetrics(t, telemetry.Labels{})
	m.Replayed("stripe")
	m.SetLabels(telemetry.Labels{Sources: []string{"stripe"}})
	m.Replayed("stripe")
	lines := scrape(t, m)
	require.Contains(t, lines, `grapnel_replays_total{source="other"} 1`)
	require.Contains(t, lines, `grapnel_replays_total{source="stripe"} 1`)
}

func TestTheSDKCountsOnTheSameEndpoint(t *testing.T) {
	m := newMetrics(t, telemetry.Labels{})
	sdk := m.SDK().WithTags(map[string]string{"namespace": "default"})
	sdk.Counter("temporal_request").Inc(3)
	sdk.Timer("temporal_request_latency").Record(20 * time.Millisecond)
	sdk.Gauge("temporal_worker_task_slots_available").Update(7)
	lines := scrape(t, m)
	for _, want := range []string{
		"# TYPE temporal_request_total counter",
		`temporal_request_total 3`,
		`temporal_request_latency_seconds_bucket{le="0.01"} 0`,
		`temporal_request_latency_seconds_bucket{le="0.1"} 1`,
		`temporal_worker_task_slots_available 7`,
	} {
		require.Contains(t, lines, want)
	}
}

func TestOtherPackagesHaveGaugesOnTheSameEndpoint(t *testing.T) {
	m := newMetrics(t, telemetry.Labels{})
	require.NoError(t, m.Observe(telemetry.MetricSpoolDepth, func(say func(float64, ...string)) { say(12) }))
	lines := scrape(t, m)
	require.Contains(t, lines, "grapnel_spool_depth 12")
	require.Contains(t, strings.Join(lines, "\n"), "\nprocess_resident_memory_bytes ")
}

func TestTwoSetsOfMetricsDoNotMeet(t *testing.T) {
	a, b := newMetrics(t, telemetry.Labels{}), newMetrics(t, telemetry.Labels{})
	a.InFlight(5)
	require.Contains(t, scrape(t, a), "grapnel_requests_in_flight 5")
	require.NotContains(t, strings.Join(scrape(t, b), "\n"), "grapnel_requests_in_flight 5")
	require.NoError(t, a.Shutdown(t.Context()))
}

func TestMetricsBearConcurrency(t *testing.T) {
	m := newMetrics(t, telemetry.Labels{Sources: []string{"zoom"}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				m.Received("zoom", "started", time.Millisecond)
			}
		})
		wg.Go(func() { m.SetLabels(telemetry.Labels{Sources: []string{"zoom"}}) })
	}
	wg.Wait()
	require.Contains(t, scrape(t, m), `grapnel_received_total{outcome="started",source="zoom"} 1600`)
}

func BenchmarkReceived(b *testing.B) {
	m, err := telemetry.NewMetrics(telemetry.Labels{Sources: []string{"zoom"}}, zap.NewNop())
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		m.Received("zoom", "started", time.Millisecond)
	}
}
