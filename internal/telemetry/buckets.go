package telemetry

import (
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// sdkScope is the name under which the Temporal SDK's metrics are made.
const sdkScope = "temporal-sdk-go"

// buckets are in seconds: a start takes milliseconds, an event with retries
// hours.
func buckets() []float64 {
	return []float64{
		.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 36000,
	}
}

// sdkView gives the SDK's timers, which are in seconds too, those buckets: the
// ones that OpenTelemetry takes by itself are meant for milliseconds.
func sdkView() sdkmetric.View {
	return sdkmetric.NewView(
		sdkmetric.Instrument{Name: "*", Kind: sdkmetric.InstrumentKindHistogram, Scope: instrumentation.Scope{Name: sdkScope}},
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: buckets()}},
	)
}
