package handler

import (
	"context"
	"log/slog"
)

type logKey struct{}

// WithLog gives a context the log that Log finds. Grapnel does so for every attempt; tests of
// handlers may do so too.
func WithLog(ctx context.Context, log func() *slog.Logger) context.Context {
	return context.WithValue(ctx, logKey{}, log)
}

// Log writes to the log of the process, in lines that name the event, its route, the
// attempt, and its trace where it has one. The span of the attempt is in the context too,
// for those who make spans of their own by OpenTelemetry.
func Log(ctx context.Context) *slog.Logger {
	if log, ok := ctx.Value(logKey{}).(func() *slog.Logger); ok {
		return log()
	}
	return slog.Default()
}
