package starter_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/starter"
)

// takesAll is a Temporal that takes every event at once.
type takesAll struct{}

func (takesAll) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return nil, nil
}

func (takesAll) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return nil, io.EOF
}

func (takesAll) ResetWorkflowExecution(context.Context, *workflowservice.ResetWorkflowExecutionRequest) (*workflowservice.ResetWorkflowExecutionResponse, error) {
	return nil, io.EOF
}

// BenchmarkReceive is the whole path of one event of 500 B but for the call to
// Temporal, over a connection whose other end allocates nothing.
func BenchmarkReceive(b *testing.B) {
	cfg, err := config.Parse("bench.yaml", []byte("sources: {zoom: {provider: zoom, secrets: [a-secret]}}"),
		func(string) (string, bool) { return "", false })
	require.NoError(b, err)
	log, err := telemetry.NewLogger("info", telemetry.FormatConsole, io.Discard)
	require.NoError(b, err)
	s, err := starter.New(starter.Options{Config: cfg, Temporal: takesAll{}, Namespace: "n", TaskQueue: "q", Log: log})
	require.NoError(b, err)
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	go func() { _ = s.Serve(l) }()
	b.Cleanup(func() { require.NoError(b, s.Shutdown(context.Background())) })
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	requests := signedRequests(b.N)
	answers := bufio.NewReader(c)
	b.ReportAllocs()
	b.ResetTimer()
	for _, r := range requests {
		_, err := c.Write(r)
		require.NoError(b, err)
		require.NoError(b, readAnswer(answers))
	}
	b.StopTimer()
	require.NoError(b, c.Close())
}

// signedRequests are different events as Zoom sends them.
func signedRequests(n int) [][]byte {
	all := make([][]byte, n)
	ts := strconv.FormatInt(time.Now().Unix(), 10)
	for i := range all {
		body := fmt.Sprintf(`{"event":"meeting.started","event_ts":1687276800000,"payload":{"account_id":"a",`+
			`"object":{"uuid":"%d","topic":"Weekly Team Meeting","agenda":"%s"}}}`, i, strings.Repeat("x", 340))
		mac := hmac.New(sha256.New, []byte("a-secret"))
		_, _ = io.WriteString(mac, "v0:"+ts+":"+body)
		all[i] = fmt.Appendf(nil, "POST /webhooks/zoom HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"+
			"User-Agent: Zoom Marketplace/1.0a\r\nX-Zm-Request-Timestamp: %s\r\nX-Zm-Signature: v0=%s\r\nContent-Length: %d\r\n\r\n%s",
			ts, hex.EncodeToString(mac.Sum(nil)), len(body), body)
	}
	return all
}

// readAnswer reads one answer, which must be a 200.
func readAnswer(r *bufio.Reader) error {
	length, first := 0, true
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.Contains(line, []byte(" 200 ")) {
			return fmt.Errorf("answered %s", line)
		}
		first = false
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			for _, digit := range bytes.TrimSpace(value) {
				length = 10*length + int(digit-'0')
			}
		}
		if len(line) == 2 {
			_, err := r.Discard(length)
			return err
		}
	}
}
