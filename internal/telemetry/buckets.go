package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// sdkScope is the name under which the Temporal SDK's metrics are made.
const sdkScope = "temporal-sdk-go"

// buckets are in seconds: an event takes milliseconds, with retries hours.
func buckets() []float64 {
	return []float64{
		.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 36000,
	}
}

// shortBuckets are for what ends within a time-out. The bounds in whole seconds
// are those that senders give.
func shortBuckets() []float64 { return []float64{.05, .25, 1, 3, 10} }

// sdkViews keep the SDK's own metrics small: all of them together were most of a
// scrape. Its timers, which are in seconds too, get few buckets. Those that time
// what our own metrics time, or how long a poll waited, are left out, and what counts
// attempts beside requests, and so are the labels that multiply them or always say the
// same: a process works in one namespace, and its own timers on one task queue.
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
