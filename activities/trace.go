package activities

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/tracing"
)

// follow gives an attempt at a route a span of its own within the event's trace, and a log whose
// lines name the event, the route and the attempt. end ends the span.
func (a *Activities) follow(ctx context.Context, t event.Task, attempt int) (with context.Context, end func(error)) {
	e := t.Event
	ctx, span := tracing.Start(tracing.Context(ctx, e), "route "+t.Route.Name, trace.WithSpanKind(trace.SpanKindConsumer))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("grapnel.event", e.ID), attribute.String("grapnel.source", e.Source),
			attribute.String("grapnel.type", event.Attribute(e.Type)), attribute.String("grapnel.route", t.Route.Name),
			attribute.Int("grapnel.attempt", attempt))
	}
	ctx = handler.WithLog(ctx, func() *slog.Logger {
		l := a.Log.With("source", e.Source, "type", event.Attribute(e.Type), "event", e.ID, "route", t.Route.Name, "attempt", attempt)
		if id := span.SpanContext().TraceID(); id.IsValid() {
			l = l.With("trace", id.String())
		}
		return l
	})
	return ctx, func(err error) {
		if _, deferred := deferral(err, attempt); err != nil && !deferred {
			span.RecordError(err)
			span.SetStatus(codes.Error, event.Cut(err.Error(), maxText))
		}
		span.End()
	}
}
