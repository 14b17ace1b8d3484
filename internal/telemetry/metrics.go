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
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.uber.org/zap"
)

// Metrics holds grapnel's instruments. It is safe for concurrent use.
type Metrics struct {
	shutdown func(context.Context) error
	handler  http.Handler
	sdk      client.MetricsHandler
	meter    metric.Meter
	labels   atomic.Pointer[knownLabels]

	received, refused                       metric.Int64Counter
	processed, failed, deadLetters          metric.Int64Counter
	replays, collisions, abandoned          metric.Int64Counter
	deliveries, alerts, circuits, deferrals metric.Int64Counter
	processing, start, answer               metric.Float64Histogram
	delivery, attempts                      metric.Float64Histogram
	inFlight                                metric.Int64UpDownCounter
}

// NewMetrics makes the instruments on a registry of their own. Later errors of the Temporal SDK's
// metrics go to the log.
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
		registry.Register(collectors.NewGoCollector(collectors.WithGoCollectorMemStatsMetricsDisabled())),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
	if err != nil {
		return nil, err
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithView(sdkViews()...))
	m := &Metrics{
		shutdown: provider.Shutdown,
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
	about := func(name string) metric.InstrumentOption {
		d, err := metricOf(name)
		faults = append(faults, err)
		return metric.WithDescription(d.Help)
	}
	count := func(c *metric.Int64Counter, name string) {
		var err error
		*c, err = m.meter.Int64Counter(name, about(name))
		faults = append(faults, err)
	}
	spread := func(h *metric.Float64Histogram, name string, bounds []float64) {
		var err error
		*h, err = m.meter.Float64Histogram(name, about(name), metric.WithExplicitBucketBoundaries(bounds...))
		faults = append(faults, err)
	}
	count(&m.received, MetricReceived)
	count(&m.refused, MetricRefused)
	count(&m.processed, MetricProcessed)
	count(&m.failed, MetricFailed)
	count(&m.deadLetters, MetricDeadLetters)
	count(&m.replays, MetricReplays)
	count(&m.collisions, MetricCollisions)
	count(&m.abandoned, MetricAbandoned)
	count(&m.deliveries, MetricDeliveries)
	count(&m.alerts, MetricAlertChanges)
	count(&m.circuits, MetricCircuitChanges)
	count(&m.deferrals, MetricDeferrals)
	spread(&m.processing, MetricProcessing, buckets())
	spread(&m.start, MetricStart, shortBuckets())
	spread(&m.answer, MetricAnswer, shortBuckets())
	spread(&m.delivery, MetricDelivery, shortBuckets())
	spread(&m.attempts, MetricAttempts, []float64{1, 2, 3, 5, 8, 13})
	var err error
	m.inFlight, err = m.meter.Int64UpDownCounter(MetricInFlight, about(MetricInFlight))
	return errors.Join(append(faults, err)...)
}

// SetLabels replaces the known labels, after a change of the configuration.
func (m *Metrics) SetLabels(l Labels) { m.labels.Store(newKnownLabels(l)) }

// Handler serves the metrics in the format of Prometheus.
func (m *Metrics) Handler() http.Handler { return m.handler }

// SDK returns the handler for the metrics of the Temporal client and its workers.
func (m *Metrics) SDK() client.MetricsHandler { return m.sdk }

// Observe registers a gauge of the catalogue. read is called at each scrape; it calls its argument
// once for each combination of labels, with their values in the catalogue's order. It is an error
// if the catalogue has no metric of this name.
func (m *Metrics) Observe(name string, read func(say func(value float64, labels ...string))) error {
	about, err := metricOf(name)
	if err != nil {
		return err
	}
	_, err = m.meter.Float64ObservableGauge(name, metric.WithDescription(about.Help),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			read(func(value float64, labels ...string) {
				attrs := make([]attribute.KeyValue, 0, len(labels))
				for i, v := range labels[:min(len(labels), len(about.Labels))] {
					attrs = append(attrs, attribute.String(about.Labels[i], v))
				}
				o.Observe(value, metric.WithAttributes(attrs...))
			})
			return nil
		}))
	return err
}

// Shutdown stops the instruments.
func (m *Metrics) Shutdown(ctx context.Context) error { return m.shutdown(ctx) }

// Refused counts a request that the receiver refused. cause must be one of the code's own words. No
// metric has both source and cause as labels: eighty sources times all causes would be most of a
// scrape.
func (m *Metrics) Refused(source, cause string, took time.Duration) {
	m.Received(source, outcomeRefused, took)
	m.refused.Add(context.Background(), 1, m.labels.Load().option(labelKey{label: "cause", value: cause}))
}

// outcomeRefused is the outcome of every refused request.
const outcomeRefused = "refused"

// Received counts one request by the receiver's answer: started, duplicate and so on. took is the
// time to the answer. outcome must be one of the code's own words.
func (m *Metrics) Received(source, outcome string, took time.Duration) {
	m.received.Add(context.Background(), 1, m.labels.Load().set(source, "outcome", outcome))
	m.answer.Record(context.Background(), max(took, 0).Seconds())
}

// Processed counts an event that was handled. took is the time since its receipt.
func (m *Metrics) Processed(source string, took time.Duration) {
	m.processed.Add(context.Background(), 1, m.labels.Load().set(source, "", ""))
	m.took("processed", took)
}

// Failed counts an event that was not handled after all attempts. took is the time since its
// receipt.
func (m *Metrics) Failed(source string, took time.Duration) {
	m.failed.Add(context.Background(), 1, m.labels.Load().set(source, "", ""))
	m.took("failed", took)
}

// took records how long an event took. A negative time becomes 0: it comes from another machine's
// clock, and Prometheus would take a falling sum for a restart. The source is no label here,
// because a histogram for each of many sources would be most of a scrape.
func (m *Metrics) took(result string, d time.Duration) {
	m.processing.Record(context.Background(), max(d, 0).Seconds(), m.labels.Load().option(labelKey{label: "result", value: result}))
}

// DeadLetter counts an event that became a dead letter. reason must be one of the code's own words,
// such as the type of a failure.
func (m *Metrics) DeadLetter(source, reason string) {
	m.deadLetters.Add(context.Background(), 1, m.labels.Load().set(source, "reason", reason))
}

// Attempted counts one attempt at a route. result must be one of the code's own words.
func (m *Metrics) Attempted(route, result string, took time.Duration) {
	l := m.labels.Load()
	m.deliveries.Add(context.Background(), 1, l.option(labelKey{route: route, label: "result", value: result}))
	m.delivery.Record(context.Background(), max(took, 0).Seconds(), l.option(labelKey{route: route}))
}

// Attempts records how many attempts a route took until it succeeded.
func (m *Metrics) Attempts(n int) { m.attempts.Record(context.Background(), float64(n)) }

// CircuitChanged counts a transition of a destination's circuit breaker.
func (m *Metrics) CircuitChanged(destination, to string) {
	m.circuits.Add(context.Background(), 1, metric.WithAttributes(
		attribute.String("destination", destination), attribute.String("to", to)))
}

// Deferred counts an event that has to wait for its destination.
func (m *Metrics) Deferred(destination, reason string) {
	m.deferrals.Add(context.Background(), 1, metric.WithAttributes(
		attribute.String("destination", destination), attribute.String("reason", reason)))
}

// Replayed counts a dead letter that was replayed.
func (m *Metrics) Replayed(source string) { m.bySource(m.replays, source) }

// Collided counts an event that shared its key with a different one.
func (m *Metrics) Collided(source string) { m.bySource(m.collisions, source) }

// Abandoned counts a repeat of an event whose latest run was terminated, cancelled or timed out.
func (m *Metrics) Abandoned(source string) { m.bySource(m.abandoned, source) }

// Alerted counts a change of an alert; to is on or off.
func (m *Metrics) Alerted(ctx context.Context, alert, to string) {
	m.alerts.Add(ctx, 1, metric.WithAttributes(attribute.String("alert", alert), attribute.String("to", to)))
}

func (m *Metrics) bySource(c metric.Int64Counter, source string) {
	c.Add(context.Background(), 1, m.labels.Load().set(source, "", ""))
}

// Started records how long a request took whose event Temporal accepted. outcome must be one of the
// code's own words.
func (m *Metrics) Started(outcome string, took time.Duration) {
	m.start.Record(context.Background(), max(took, 0).Seconds(), m.labels.Load().option(labelKey{label: "outcome", value: outcome}))
}

// InFlight counts requests that are not answered yet: delta is 1 when a request comes, and -1 when
// it is answered.
func (m *Metrics) InFlight(delta int64) { m.inFlight.Add(context.Background(), delta) }
