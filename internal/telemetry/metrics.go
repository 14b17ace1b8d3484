package telemetry

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.uber.org/zap"
)

// Metrics is what grapnel counts. It is safe for concurrent use.
type Metrics struct {
	provider *sdkmetric.MeterProvider
	handler  http.Handler
	sdk      client.MetricsHandler
	meter    metric.Meter
	labels   atomic.Pointer[known]

	received, processed, failed, deadLetters metric.Int64Counter
	replays, collisions, abandoned           metric.Int64Counter
	processing, start                        metric.Float64Histogram
	inFlight                                 metric.Int64UpDownCounter
}

// NewMetrics makes the instruments on a registry of their own. Faults that the
// SDK meets with its metrics later go to the log.
func NewMetrics(l Labels, log *zap.Logger) (*Metrics, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprom.New(
		otelprom.WithRegisterer(registry),
		otelprom.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		otelprom.WithoutScopeInfo(),
		otelprom.WithoutTargetInfo(),
	)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
	if err != nil {
		return nil, err
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithView(sdkView()))
	m := &Metrics{
		provider: provider,
		handler:  promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: zap.NewStdLog(log)}),
		meter:    provider.Meter("grapnel"),
		sdk: opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
			Meter:                provider.Meter(sdkScope),
			OnError:              func(err error) { log.Warn("a metric of the SDK could not be made", zap.Error(err)) },
			UseMonotonicCounters: true,
		}),
	}
	m.SetLabels(l)
	return m, m.instruments()
}

func (m *Metrics) instruments() error {
	var faults []error
	count := func(c *metric.Int64Counter, name, about string) {
		var err error
		*c, err = m.meter.Int64Counter("grapnel."+name, metric.WithDescription(about))
		faults = append(faults, err)
	}
	seconds := func(h *metric.Float64Histogram, name, about string) {
		var err error
		*h, err = m.meter.Float64Histogram("grapnel."+name, metric.WithDescription(about),
			metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(buckets()...))
		faults = append(faults, err)
	}
	count(&m.received, "received", "Requests at the door, by source and outcome.")
	count(&m.processed, "processed", "Events that every route has taken.")
	count(&m.failed, "failed", "Events that some route has not taken for good.")
	count(&m.deadLetters, "dead_letters", "Events that became dead letters, by reason.")
	count(&m.replays, "replays", "Dead letters played again.")
	count(&m.collisions, "collisions", "Events that shared their key with a different one.")
	count(&m.abandoned, "abandoned", "Repeats of events whose latest run was ended by hand or timed out.")
	seconds(&m.processing, "processing.duration", "From the start of an event's workflow to its end.")
	seconds(&m.start, "start.duration", "How long the engine takes to start a workflow.")
	var err error
	m.inFlight, err = m.meter.Int64UpDownCounter("grapnel.requests_in_flight",
		metric.WithDescription("Requests at the door that are not answered yet."))
	return errors.Join(append(faults, err)...)
}

// SetLabels replaces the labels that are known, when the configuration changes.
func (m *Metrics) SetLabels(l Labels) { m.labels.Store(newKnown(l)) }

// Handler serves the metrics in the format of Prometheus.
func (m *Metrics) Handler() http.Handler { return m.handler }

// SDK is where the Temporal client and its workers count.
func (m *Metrics) SDK() client.MetricsHandler { return m.sdk }

// Meter is for the gauges of other packages.
func (m *Metrics) Meter() metric.Meter { return m.meter }

// Shutdown ends the collecting.
func (m *Metrics) Shutdown(ctx context.Context) error { return m.provider.Shutdown(ctx) }

// Received counts one request by how the door answered it: started, duplicate,
// invalid_signature and so on. The outcome has to be one of the code's own words.
func (m *Metrics) Received(source, outcome string) {
	m.received.Add(context.Background(), 1, m.labels.Load().set(source, "outcome", outcome))
}

// Processed counts an event that was handled, and how long it took.
func (m *Metrics) Processed(source, typ string, took time.Duration) {
	l := m.labels.Load()
	m.processed.Add(context.Background(), 1, l.typed(source, typ))
	m.took(took, l.set(source, "result", "processed"))
}

// Failed counts an event that was not, and how long that took.
func (m *Metrics) Failed(source, typ string, took time.Duration) {
	l := m.labels.Load()
	m.failed.Add(context.Background(), 1, l.typed(source, typ))
	m.took(took, l.set(source, "result", "failed"))
}

// took records how long an event took. It was received under another machine's
// clock perhaps, and a sum that falls reads as a restart.
func (m *Metrics) took(d time.Duration, labels metric.MeasurementOption) {
	m.processing.Record(context.Background(), max(d, 0).Seconds(), labels)
}

// DeadLetter counts an event that became a dead letter. The reason has to be
// one of the code's own words, such as the type of a failure.
func (m *Metrics) DeadLetter(source, reason string) {
	m.deadLetters.Add(context.Background(), 1, m.labels.Load().set(source, "reason", reason))
}

// Replayed counts a dead letter that was played again.
func (m *Metrics) Replayed(source string) { m.bySource(m.replays, source) }

// Collided counts an event that shared its key with a different one.
func (m *Metrics) Collided(source string) { m.bySource(m.collisions, source) }

// Abandoned counts a repeat whose latest run was terminated, cancelled or timed
// out.
func (m *Metrics) Abandoned(source string) { m.bySource(m.abandoned, source) }

func (m *Metrics) bySource(c metric.Int64Counter, source string) {
	c.Add(context.Background(), 1, m.labels.Load().set(source, "", ""))
}

// Started records how long the engine took over a start; the outcome has to be
// one of the code's own words.
func (m *Metrics) Started(source, outcome string, took time.Duration) {
	m.start.Record(context.Background(), took.Seconds(), m.labels.Load().set(source, "outcome", outcome))
}

// InFlight counts requests that are not answered yet: 1 when one comes, -1 when
// it is answered.
func (m *Metrics) InFlight(delta int64) { m.inFlight.Add(context.Background(), delta) }
