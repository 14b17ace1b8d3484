package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// sdkScope is the instrumentation scope of the Temporal SDK's metrics.
const sdkScope = "temporal-sdk-go"

// buckets are the bounds of processing times, in seconds: an event takes milliseconds, or with
// retries hours.
func buckets() []float64 {
	return []float64{
		.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 36000,
	}
}

// shortBuckets are the bounds, in seconds, of times that a time-out limits. The whole seconds are
// common time-outs of senders.
func shortBuckets() []float64 { return []float64{.05, .25, 1, 3, 10} }

// sdkViews reduce the SDK's own metrics, which would be most of a scrape. They drop the timers of
// what our own metrics time and of how long a poll waited, and the counters of attempts, since
// requests are counted. They give the other timers, in seconds, few buckets, and drop labels that
// multiply them or never vary: a process works in one namespace, and its timers on one task queue.
func sdkViews() []sdkmetric.View {
	sdk := instrumentation.Scope{Name: sdkScope}
	drop := func(name string) sdkmetric.View {
		return sdkmetric.NewView(sdkmetric.Instrument{Name: name, Scope: sdk}, sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}})
	}
	views := []sdkmetric.View{
		drop("temporal_long_request_latency"),
		drop("temporal_long_request_latency_attempt"),
		drop("temporal_request_latency_attempt"),
		drop("temporal_request_attempt"),
		drop("temporal_request_failure_attempt"),
		drop("temporal_long_request_attempt"),
		drop("temporal_long_request_failure_attempt"),
		drop("temporal_workflow_task_replay_latency"),
		drop("temporal_workflow_endtoend_latency"),
		drop("temporal_activity_execution_latency"),
		drop("temporal_activity_succeed_endtoend_latency"),
		drop("temporal_local_activity_execution_latency"),
		drop("temporal_local_activity_succeed_endtoend_latency"),
	}
	for _, name := range []string{
		"temporal_request_latency", "temporal_workflow_task_schedule_to_start_latency",
		"temporal_workflow_task_execution_latency", "temporal_activity_schedule_to_start_latency",
	} {
		views = append(views, sdkmetric.NewView(
			sdkmetric.Instrument{Name: name, Kind: sdkmetric.InstrumentKindHistogram, Scope: sdk},
			sdkmetric.Stream{
				Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: []float64{.01, .1, 1, 10}},
				AttributeFilter: attribute.NewDenyKeysFilter(
					"client_name", "namespace", "task_queue", "workflow_type", "activity_type", "worker_type"),
			},
		))
	}
	for _, kind := range []sdkmetric.InstrumentKind{sdkmetric.InstrumentKindCounter, sdkmetric.InstrumentKindGauge} {
		views = append(views, sdkmetric.NewView(
			sdkmetric.Instrument{Name: "*", Kind: kind, Scope: sdk},
			sdkmetric.Stream{AttributeFilter: attribute.NewDenyKeysFilter("client_name", "namespace")},
		))
	}
	return views
}
