package starter_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/starter"
)

// openEngine is a Temporal that takes every event.
type openEngine struct {
	started atomic.Int64
	// entered hears of each start, which then waits for leave; nil: none waits.
	entered, leave chan struct{}
}

func (e *openEngine) ExecuteWorkflow(ctx context.Context, _ client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	e.started.Add(1)
	if e.entered != nil {
		e.entered <- struct{}{}
		select {
		case <-e.leave:
		case <-ctx.Done():
		}
	}
	return nil, nil //nolint:nilnil // The door does not look at the run.
}

func (e *openEngine) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return &workflowservice.DescribeWorkflowExecutionResponse{}, nil
}

func (e *openEngine) ResetWorkflowExecution(context.Context, *workflowservice.ResetWorkflowExecutionRequest) (*workflowservice.ResetWorkflowExecutionResponse, error) {
	return &workflowservice.ResetWorkflowExecutionResponse{}, nil
}

// doorway is a receiver on a socket of its own.
type doorway struct {
	*starter.Starter
	addr   string
	dir    string
	engine *openEngine
	now    *clock
	logs   *observer.ObservedLogs
}

// clock is a time that tests move.
type clock struct{ nanos atomic.Int64 }

func newClock(t time.Time) *clock {
	c := &clock{}
	c.nanos.Store(t.UnixNano())
	return c
}

func (c *clock) time() time.Time         { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// parse reads a configuration; its files are in dir.
func parse(t *testing.T, dir, yaml string) *config.Config {
	t.Helper()
	c, err := config.Parse(filepath.Join(dir, "grapnel.yaml"), []byte(yaml), func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	return c
}

// openDoor serves a configuration on loopback until the test ends.
func openDoor(t *testing.T, yaml string, set ...func(*starter.Options)) *doorway {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	w := &doorway{dir: t.TempDir(), engine: &openEngine{}, now: newClock(time.Now()), logs: logs}
	o := starter.Options{
		Config: parse(t, w.dir, yaml), Temporal: w.engine, Namespace: "default", TaskQueue: "test",
		Log: zap.New(core), Now: w.now.time,
	}
	for _, f := range set {
		f(&o)
	}
	s, err := starter.New(o)
	require.NoError(t, err)
	w.Starter = s
	l, err := starter.Listen(t.Context(), "127.0.0.1:0", o.Config.TLS, o.Log)
	require.NoError(t, err)
	w.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx))
		require.NoError(t, <-served)
	})
	// A listener that is closed before it is served from would be told as a fault.
	c, err := net.Dial("tcp", w.addr)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	return w
}

// reload puts another configuration into force.
func (w *doorway) reload(t *testing.T, yaml string) {
	t.Helper()
	require.NoError(t, w.Reload(parse(t, w.dir, yaml)))
}

// reply is an answer that is read.
type reply struct {
	status int
	header http.Header
	body   string
}

// post sends a body to a source, on a connection of its own. headers are names
// and values by turns.
func (w *doorway) post(t *testing.T, source, body string, headers ...string) reply {
	t.Helper()
	return send(t, &http.Transport{DisableKeepAlives: true}, "http://"+w.addr+"/webhooks/"+source, body, headers...)
}

func send(t *testing.T, transport *http.Transport, url, body string, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := transport.RoundTrip(req)
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return reply{status: res.StatusCode, header: res.Header, body: string(text)}
}

// token is the header that the sources of these tests ask for.
func token() []string { return []string{"X-Webhook-Token", "a-token-for-tests"} }

// source is a source of that token with more settings, on a line each.
func source(name string, settings ...string) string {
	return "  " + name + ":\n    provider: generic-token\n    dedupe: none\n    secrets: [a-token-for-tests]\n    " +
		strings.Join(settings, "\n    ") + "\n"
}
