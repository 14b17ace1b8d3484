package starter

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/tracing"
)

// span begins the receiver's span of a verified event, if traces are exported, and gives the
// function that ends it. The span begins with the request. It is a child of the sender's span,
// and the parent of all later spans of the event. Requests of strangers have no span.
func (s *Starter) span(x *exchange, in *Incoming) (end func(outcome string)) {
	if s.tracer == nil {
		return func(string) {}
	}
	e := &in.Event
	_, span := s.tracer.Start(tracing.Context(s.alive, *e), "receive "+e.Source, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(x.began), trace.WithAttributes(
			attribute.String("grapnel.source", e.Source), attribute.String("grapnel.type", event.Attribute(e.Type))))
	tracing.Set(e, span.SpanContext())
	return func(outcome string) {
		span.SetAttributes(attribute.String("grapnel.event", e.ID), attribute.String("grapnel.outcome", outcome))
		span.End()
	}
}
