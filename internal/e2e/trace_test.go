package e2e_test

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// The sender's place in its trace.
const (
	senderTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	senderSpan  = "00f067aa0ba902b7"
)

// collector is what takes traces by OTLP.
type collector struct {
	url   string
	mu    sync.Mutex
	spans []*tracepb.Span
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			in, _ = gzip.NewReader(r.Body)
		}
		body, _ := io.ReadAll(in)
		var sent coltracepb.ExportTraceServiceRequest
		if r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range sent.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// named gives the first span of a name in the sender's trace, or nil.
func (c *collector) named(name string) *tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.GetName() == name && hex.EncodeToString(s.GetTraceId()) == senderTrace {
			return s
		}
	}
	return nil
}

// traced posts an event as a sender does that traces, and gives its ID.
func (s *system) traced(t *testing.T, body string) string {
	t.Helper()
	ts := strconv.FormatInt(time.Now().Unix(), 10)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/webhooks/zoom", strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Zm-Request-Timestamp", ts)
	req.Header.Set("X-Zm-Signature", sign(s.secret, ts, body))
	req.Header.Set("Traceparent", "00-"+senderTrace+"-"+senderSpan+"-01")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return eventID(t, string(text))
}

// tracingHome is a grapnel with one destination, which tells what trace it is in.
func tracingHome(t *testing.T, env ...string) (h *home, heard chan string) {
	t.Helper()
	heard = make(chan string, 9)
	crm := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- r.Header.Get("Traceparent") }))
	t.Cleanup(crm.Close)
	file := yaml("destinations:", to("crm", crm.URL, "attempts: 2"))
	return newHome(t, strings.Replace(file, "examples: [meetings]\n", "", 1), append(env, "GRAPNEL_LOG_FORMAT=json")...), heard
}

func TestOneTraceLeadsFromTheSenderToTheDestination(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	h, heard := tracingHome(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.url, "OTEL_BSP_SCHEDULE_DELAY=100")
	p := h.start(t, "up")
	s := p.system(t)
	s.secret = secret
	id := s.traced(t, zoom(t, "meeting.started"))
	require.NoError(t, s.result(t, id))
	way := []string{"receive zoom", "StartWorkflow:ProcessEvent", "RunWorkflow:ProcessEvent", "route crm"}
	until(t, "all spans are there", func() bool {
		for _, name := range way {
			if c.named(name) == nil {
				return false
			}
		}
		return true
	})
	require.Equal(t, senderSpan, hex.EncodeToString(c.named(way[0]).GetParentSpanId()))
	require.Equal(t, c.named(way[0]).GetSpanId(), c.named(way[1]).GetParentSpanId())
	require.Equal(t, c.named(way[1]).GetSpanId(), c.named(way[2]).GetParentSpanId())
	require.Equal(t, "00-"+senderTrace+"-"+hex.EncodeToString(c.named("route crm").GetSpanId())+"-01", <-heard)
	require.Len(t, s.history(t, id, ""), 7, "a trace costs no event of history")
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, `"event received"`) || strings.Contains(line, `"event handled"`) {
			require.Contains(t, line, `"trace":"`+senderTrace+`"`)
		}
	}
	p.interrupt(t)
}

func TestWithoutAnExporterTheSendersTraceGoesOnAndCostsNothing(t *testing.T) {
	t.Parallel()
	h, heard := tracingHome(t)
	s := h.start(t, "up").system(t)
	s.secret = secret
	id := s.traced(t, zoom(t, "meeting.started"))
	require.NoError(t, s.result(t, id))
	require.Equal(t, "00-"+senderTrace+"-"+senderSpan+"-01", <-heard)
	history := s.history(t, id, "")
	require.Len(t, history, 7)
	require.Empty(t, history[0].GetWorkflowExecutionStartedEventAttributes().GetHeader().GetFields())
	plain := s.send(t, zoomOf(t.Name()+" 2", "meeting.started")).EventID
	require.NoError(t, s.result(t, plain))
	require.Empty(t, <-heard)
}
