// Package tracing takes an event's trace from the sender's request to its handlers and
// destinations, in the form of W3C Trace Context.
//
// The event itself carries its place in the trace, so that it survives the spool, a dead
// letter and a replay, and costs nothing where the sender sends none. Where an OTLP
// endpoint is configured, the receiver's span takes that place, and the interceptors of
// Temporal's SDK pass their own spans on in headers beside it.
package tracing

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/grapnel/grapnel/internal/event"
)

// The names of the headers.
const (
	parent = "traceparent"
	state  = "tracestate"
)

// maxState is the longest tracestate that is kept; W3C asks for no more.
const maxState = 512

// Read takes the place in a trace over from a request's headers into an event. What is
// not well formed is left out, as W3C wants it.
func Read(e *event.Event, header func(name string) string) {
	carrier := propagation.MapCarrier{parent: header(parent), state: header(state)}
	sc := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
	if !sc.IsValid() {
		return
	}
	Set(e, sc)
}

// Set makes a span the event's place in its trace.
func Set(e *event.Event, sc trace.SpanContext) {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), sc), carrier)
	e.Traceparent, e.Tracestate = carrier[parent], carrier[state]
	if len(e.Tracestate) > maxState {
		e.Tracestate = ""
	}
}

// Context gives a context the event's place in its trace, unless it is in one already.
func Context(ctx context.Context, e event.Event) context.Context {
	if e.Traceparent == "" || trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{parent: e.Traceparent, state: e.Tracestate})
}

// Write puts the place of a context into headers of a request that goes out.
func Write(ctx context.Context, set func(name, value string)) {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	for name, value := range carrier {
		set(name, value)
	}
}

// ID is the ID of the event's trace; empty without one.
func ID(e event.Event) string {
	const version, end = len("00-"), len("00-") + 32
	if len(e.Traceparent) < end {
		return ""
	}
	return e.Traceparent[version:end]
}

// Start begins a span within the trace of a context. Where nothing is exported it is a
// span that does nothing.
func Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	return trace.SpanFromContext(ctx).TracerProvider().Tracer(scope).Start(ctx, name, o...)
}

// scope names who makes the spans.
const scope = "github.com/grapnel/grapnel"
