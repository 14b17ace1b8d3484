package tracing

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
)

// Export sends spans to a collector. A nil one sends none.
type Export struct{ provider *sdktrace.TracerProvider }

// The variables of OpenTelemetry that switch the export on. All others that its SDK
// knows hold too: OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME,
// OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_* and so on.
const (
	endpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
)

// Open begins to export where the environment names an endpoint; else it gives nil. What
// goes wrong later is told to fault.
func Open(ctx context.Context, lookup func(string) (string, bool), version string, fault func(error)) (*Export, error) {
	value := func(name string) string {
		v, _ := lookup(name)
		return strings.TrimSpace(v)
	}
	if value(endpoint) == "" && value(tracesEndpoint) == "" || strings.EqualFold(value("OTEL_SDK_DISABLED"), "true") ||
		value("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil //nolint:nilnil // A nil Export is one that exports nothing.
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
		if p := value(name); p != "" && p != "http/protobuf" {
			return nil, fmt.Errorf("%s is %s: traces are exported by http/protobuf alone, to port 4318 as a rule", name, p)
		}
	}
	var options []otlptracehttp.Option
	switch traces, all := value(tracesEndpoint), value(endpoint); {
	case traces != "":
		options = append(options, otlptracehttp.WithEndpointURL(traces))
	default:
		options = append(options, otlptracehttp.WithEndpointURL(strings.TrimSuffix(all, "/")+"/v1/traces"))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "grapnel"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	// The exporter has nobody else to tell, and would write to stderr past the log.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(fault))
	return &Export{sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))}, nil
}

// Tracer makes spans; nil where nothing is exported.
func (x *Export) Tracer() trace.Tracer {
	if x == nil {
		return nil
	}
	return x.provider.Tracer(scope)
}

// Interceptors make the spans of Temporal's client and workers, and pass them on in
// Temporal's headers. There are none where nothing is exported.
func (x *Export) Interceptors() ([]interceptor.ClientInterceptor, error) {
	if x == nil {
		return nil, nil
	}
	i, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{
		Tracer: x.provider.Tracer("go.temporal.io/sdk"),
		// What is asked of a run is no part of an event's trace, and baggage is whatever
		// a sender may write.
		DisableSignalTracing: true, DisableQueryTracing: true, DisableUpdateTracing: true, DisableBaggage: true,
		AllowInvalidParentSpans: true,
	})
	if err != nil {
		return nil, fmt.Errorf("trace Temporal: %w", err)
	}
	return []interceptor.ClientInterceptor{i}, nil
}

// Close sends what is left.
func (x *Export) Close(ctx context.Context) error {
	if x == nil {
		return nil
	}
	return x.provider.Shutdown(ctx)
}
