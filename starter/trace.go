package starter

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/tracing"
)

// span begins the receiver's span of a verified event, where traces are exported, and
// gives what ends it. It is a child of the sender's, from the request's beginning on, and
// the event's place in the trace from now on. Strangers' requests have none.
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
