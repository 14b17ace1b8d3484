package telemetry

import (
	"fmt"
	"strings"
)

// Kind is how a metric counts.
type Kind string

// The kinds of metrics.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Metric describes one metric of grapnel's own.
type Metric struct {
	// Name is what Prometheus shows, with unit and suffix.
	Name string
	Kind Kind
	// Labels are the names of its labels.
	Labels []string
	// Help says what the metric measures.
	Help string
	// Panel is the title of the dashboard's panel that shows it; empty means none.
	Panel string
}

// The names of grapnel's metrics.
const (
	MetricReceived         = "grapnel_received_total"
	MetricRefused          = "grapnel_refused_total"
	MetricAnswer           = "grapnel_answer_duration_seconds"
	MetricInFlight         = "grapnel_requests_in_flight"
	MetricStart            = "grapnel_start_duration_seconds"
	MetricProcessed        = "grapnel_processed_total"
	MetricFailed           = "grapnel_failed_total"
	MetricProcessing       = "grapnel_processing_duration_seconds"
	MetricDeadLetters      = "grapnel_dead_letters_total"
	MetricReplays          = "grapnel_replays_total"
	MetricCollisions       = "grapnel_collisions_total"
	MetricAbandoned        = "grapnel_abandoned_total"
	MetricDeliveries       = "grapnel_deliveries_total"
	MetricDelivery         = "grapnel_delivery_duration_seconds"
	MetricAttempts         = "grapnel_delivery_attempts"
	MetricBreakerOpen      = "grapnel_destination_breaker_open"
	MetricPaused           = "grapnel_destination_paused"
	MetricCircuitChanges   = "grapnel_destination_breaker_transitions_total"
	MetricDeferrals        = "grapnel_deferrals_total"
	MetricQueueWorkers     = "grapnel_destination_queue_workers"
	MetricSourcePaused     = "grapnel_source_paused"
	MetricOpenDeadLetters  = "grapnel_open_dead_letters"
	MetricOldestDeadLetter = "grapnel_oldest_dead_letter_timestamp_seconds"
	MetricCensus           = "grapnel_dead_letters_counted_timestamp_seconds"
	MetricLastEvent        = "grapnel_source_last_event_timestamp_seconds"
	MetricWorkerPoll       = "grapnel_worker_last_poll_timestamp_seconds"
	MetricSpoolDepth       = "grapnel_spool_depth"
	MetricSpoolBytes       = "grapnel_spool_bytes"
	MetricSpoolMax         = "grapnel_spool_max_bytes"
	MetricSpoolAge         = "grapnel_spool_oldest_age_seconds"
	MetricSpoolDrain       = "grapnel_spool_drain_rate"
	MetricSpoolRefused     = "grapnel_spool_refused"
	MetricSpoolFailed      = "grapnel_spool_failed"
	MetricAlert            = "grapnel_alert_active"
	MetricAlertChanges     = "grapnel_alert_transitions_total"
	MetricConfig           = "grapnel_config_info"
	MetricReload           = "grapnel_config_last_reload_successful"
	MetricReloaded         = "grapnel_config_last_reload_success_timestamp_seconds"
	MetricBuild            = "grapnel_build_info"
)

// Catalogue returns grapnel's own metrics. The instruments, the table in the docs and the dashboard
// are made from it.
func Catalogue() []Metric {
	source := []string{"source"}
	return []Metric{
		{MetricReceived, Counter, []string{"source", "outcome"}, "Requests at the receiver, by how they were answered. All refused requests of a source are one outcome; grapnel_refused_total has the causes.", "Requests by outcome"},
		{MetricRefused, Counter, []string{"cause"}, "Refused requests of all sources, by cause; /rejections and the page show those of each source.", "Refusals by cause"},
		{MetricAnswer, Histogram, nil, "From a request's header to its answer; senders wait one to three seconds for it.", "Answer time"},
		{MetricInFlight, Gauge, nil, "Requests at the receiver that are not answered yet.", ""},
		{MetricStart, Histogram, []string{"outcome"}, "How long requests took whose event Temporal accepted.", ""},
		{MetricProcessed, Counter, source, "Events that all routes have handled.", "Events settled"},
		{MetricFailed, Counter, source, "Events that a route has failed to handle after all attempts.", "Events settled"},
		{MetricProcessing, Histogram, []string{"result"}, "From the receipt of an event until it is handled or a dead letter.", "Processing time"},
		{MetricDeadLetters, Counter, []string{"source", "reason"}, "Events that became dead letters.", "New dead letters"},
		{MetricReplays, Counter, source, "Dead letters that were replayed.", ""},
		{MetricCollisions, Counter, source, "Events that shared their key with a different one.", ""},
		{MetricAbandoned, Counter, source, "Repeats of events whose latest run was ended by hand or timed out.", ""},
		{MetricDeliveries, Counter, []string{"route", "result"}, "Attempts at a route (a handler or a destination), by result: done, failed, permanent, timeout, panic, deferred.", "Attempts by route"},
		{MetricDelivery, Histogram, []string{"route"}, "How long one attempt at a route took.", "Attempt time"},
		{MetricAttempts, Histogram, nil, "How many attempts it took until a route succeeded.", ""},
		{MetricBreakerOpen, Gauge, []string{"destination"}, "1 while a destination's circuit breaker is open, or lets single deliveries through to test it.", "Destinations shut"},
		{MetricPaused, Gauge, []string{"destination"}, "1 while a destination is paused.", "Destinations shut"},
		{MetricCircuitChanges, Counter, []string{"destination", "to"}, "Transitions of a destination's circuit breaker.", ""},
		{MetricDeferrals, Counter, []string{"destination", "reason"}, "Times that an event had to wait for its destination, by reason: circuit, rate, concurrency, paused.", ""},
		{MetricQueueWorkers, Gauge, []string{"destination"}, "Workers that polled the task queue of an activity or workflow destination in the last minutes; with 0 its events wait.", ""},
		{MetricSourcePaused, Gauge, source, "1 while a source is paused.", "Destinations shut"},
		{MetricOpenDeadLetters, Gauge, []string{"source", "reason"}, "Dead letters that wait for somebody.", "Open dead letters"},
		{MetricOldestDeadLetter, Gauge, []string{"source", "reason"}, "When the oldest open dead letter became one.", ""},
		{MetricCensus, Gauge, nil, "When the open dead letters were last counted.", ""},
		{MetricLastEvent, Gauge, source, "When a source's last verified event came in to this process.", "Silence"},
		{MetricWorkerPoll, Gauge, nil, "When a worker last asked Temporal for work on the task queue.", ""},
		{MetricSpoolDepth, Gauge, nil, "Events that wait on disk.", "Spool"},
		{MetricSpoolBytes, Gauge, nil, "Bytes of events on disk.", ""},
		{MetricSpoolMax, Gauge, nil, "Bytes that the spool may hold.", ""},
		{MetricSpoolAge, Gauge, nil, "Age of the oldest event that waits on disk.", ""},
		{MetricSpoolDrain, Gauge, nil, "Events per second that go from the spool to Temporal.", ""},
		{MetricSpoolRefused, Gauge, nil, "Events that Temporal refuses for good, set aside on disk.", ""},
		{MetricSpoolFailed, Gauge, nil, "1 from a failure of the spool's disk until a test of it succeeds.", ""},
		{MetricAlert, Gauge, []string{"alert"}, "1 while an alert of this name is on.", "Alerts"},
		{MetricAlertChanges, Counter, []string{"alert", "to"}, "Alerts that went on or off.", ""},
		{MetricConfig, Gauge, []string{"fingerprint"}, "1; its label is the fingerprint of the configuration in force.", ""},
		{MetricReload, Gauge, nil, "1 if the present configuration file is in force, 0 if it was refused.", ""},
		{MetricReloaded, Gauge, nil, "When the configuration in force was loaded.", ""},
		{MetricBuild, Gauge, []string{"version", "goversion"}, "1; its labels are the build.", ""},
	}
}

// metricOf finds a metric by its name.
func metricOf(name string) (Metric, error) {
	for _, m := range Catalogue() {
		if m.Name == name {
			return m, nil
		}
	}
	return Metric{}, fmt.Errorf("there is no metric %s in the catalogue", name)
}

// MetricsTable writes the catalogue as a table in Markdown.
func MetricsTable() string {
	var b strings.Builder
	b.WriteString("| metric | kind | labels | what it says |\n|---|---|---|---|\n")
	for _, m := range Catalogue() {
		labels := "–"
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, m.Help)
	}
	return b.String()
}
