package tracing_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/tracing"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func read(traceparent, tracestate string) (e event.Event) {
	tracing.Read(&e, func(name string) string {
		return map[string]string{"traceparent": traceparent, "tracestate": tracestate}[name]
	})
	return e
}

func TestTheSendersPlaceInItsTraceIsTakenOver(t *testing.T) {
	e := read(parent, "vendor=1")
	require.Equal(t, parent, e.Traceparent)
	require.Equal(t, "vendor=1", e.Tracestate)
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", tracing.ID(e))
	out := map[string]string{}
	tracing.Write(tracing.Context(context.Background(), e), func(name, value string) { out[name] = value })
	require.Equal(t, map[string]string{"traceparent": parent, "tracestate": "vendor=1"}, out)
}

func TestWhatIsNotWellFormedIsLeftOut(t *testing.T) {
	for _, bad := range []string{
		"", "00", "00-x-y-01", strings.ToUpper(parent), "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "ff" + parent[2:],
		parent + "-x", "<script>alert(1)</script>", parent + "\r\nX-Evil: 1",
	} {
		e := read(bad, "vendor=1")
		require.Empty(t, e.Traceparent, bad)
		require.Empty(t, e.Tracestate)
		require.Empty(t, tracing.ID(e))
	}
	require.Empty(t, read(parent, "vendor="+strings.Repeat("x", 600)).Tracestate)
}

func TestExportIsOffUnlessAnEndpointIsNamed(t *testing.T) {
	open := func(env map[string]string) (*tracing.Export, error) {
		return tracing.Open(t.Context(), func(name string) (string, bool) { v, ok := env[name]; return v, ok }, "v0", func(error) {})
	}
	for _, env := range []map[string]string{
		{},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"},
	} {
		x, err := open(env)
		require.NoError(t, err)
		require.Nil(t, x)
		require.Nil(t, x.Tracer())
		i, err := x.Interceptors()
		require.NoError(t, err)
		require.Empty(t, i)
		require.NoError(t, x.Close(t.Context()))
	}
	_, err := open(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
	require.ErrorContains(t, err, "OTEL_EXPORTER_OTLP_PROTOCOL is grpc")
}
