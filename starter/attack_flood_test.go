package starter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/grapnel/grapnel/starter"
)

func TestAFloodIsBoundedAndTheDoorServesOn(t *testing.T) {
	w, engine := openFake(t, yaml("max_requests: 8\n", doorSource("zoom", "zoom", goodSecret)))
	var mu sync.Mutex
	underWay, most := 0, 0
	engine.onStart = func(context.Context, int, client.StartWorkflowOptions) error {
		mu.Lock()
		underWay++
		most = max(most, underWay)
		mu.Unlock()
		defer func() { mu.Lock(); underWay--; mu.Unlock() }()
		return nil
	}
	var flood sync.WaitGroup
	got := make(chan int, 400)
	for i := range 400 {
		flood.Go(func() {
			body := meeting(fmt.Sprint(i))
			req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+w.addr+"/webhooks/zoom", strings.NewReader(body))
			if err != nil {
				return
			}
			for h := signZoom(body, w.now.time(), goodSecret); len(h) > 0; h = h[2:] {
				req.Header.Set(h[0], h[1])
			}
			res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if err != nil {
				got <- 0 // Hung up on: more connections than it holds.
				return
			}
			_ = res.Body.Close()
			got <- res.StatusCode
		})
	}
	flood.Wait()
	close(got)
	count := map[int]int{}
	for status := range got {
		count[status]++
	}
	for status := range count {
		require.Contains(t, []int{0, http.StatusOK, http.StatusServiceUnavailable}, status)
	}
	require.Positive(t, count[http.StatusOK])
	require.LessOrEqual(t, most, 8)
	starts, _, _ := engine.calls()
	require.Equal(t, count[http.StatusOK], starts, "what was started was acknowledged and the other way round")
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			return false
		}
		_ = c.Close()
		return w.zoom(t, meeting("after")).status == http.StatusOK
	}, time.Minute, 10*time.Millisecond)
}

func TestOneEventSentManyTimesAtOnceIsStartedOnce(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret)))
	var all sync.WaitGroup
	got := make(chan accepted, 50)
	for range 50 {
		all.Go(func() { got <- w.zoom(t, meeting("1")).taken(t) })
	}
	all.Wait()
	close(got)
	first := 0
	for a := range got {
		if !a.Duplicate {
			first++
		}
	}
	require.Equal(t, 1, first)
	require.Len(t, engine.runs, 1)
}

func TestNobodyForgesLinesOfTheLog(t *testing.T) {
	for name, encoder := range map[string]zapcore.Encoder{
		"json":    zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
		"console": zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
	} {
		t.Run(name, func(t *testing.T) {
			var out syncBuffer
			w, _ := openFake(t, yaml("", doorSources...), func(o *starter.Options) {
				o.Log = zap.New(zapcore.NewCore(encoder, &out, zapcore.DebugLevel))
			})
			const forged = `\n2026-01-01T00:00:00Z\tERROR\tforged line\r\n{\"level\":\"error\",\"msg\":\"forged\"}\u001b[31m\u2028\u0085`
			body := `{"event":"x` + forged + `","id":"y` + forged + `","order":{"number":"z` + forged + `"}}`
			w.post(t, "shop", body, signShop(body, w.now.time(), goodSecret)...).taken(t)
			w.raw(t, "POST /webhooks/a%0aERROR%09forged HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
			w.raw(t, "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: a\x1b[31m forged\r\nx-zm-signature: \x1b[31mforged\r\nx-zm-request-timestamp: forged\r\nContent-Length: 2\r\n\r\n{}")
			w.raw(t, "FORGED\x1b[31m /webhooks/zoom HTTP/1.1\r\nHost: x\r\n\r\n")
			text := out.String()
			require.NotContains(t, text, "\x1b")
			require.NotContains(t, text, "\u2028ERROR")
			for line := range strings.Lines(text) {
				require.False(t, strings.HasPrefix(line, "2026-01-01T00:00:00Z"), line)
				if name == "json" {
					require.True(t, json.Valid([]byte(line)), line)
					var fields map[string]any
					require.NoError(t, json.Unmarshal([]byte(line), &fields))
					require.NotEqual(t, "forged", fields["msg"])
				}
			}
			require.Equal(t, 4, strings.Count(text, "\n"), text)
		})
	}
}

// syncBuffer is a buffer for a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) Sync() error { return nil }

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestStrangersMakeUpNoLabels(t *testing.T) {
	heard, with := listen()
	w, _ := openFake(t, yaml("", doorSources...), with)
	labels := map[string]bool{}
	for i := range 40 {
		for _, request := range []string{
			fmt.Sprintf("POST /webhooks/made-up-%d HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", i),
			fmt.Sprintf("POST /made-up-%d HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", i),
			fmt.Sprintf("MADEUP%d /webhooks/zoom HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", i),
			fmt.Sprintf("POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nx-zm-signature: %d\r\nx-zm-request-timestamp: %d\r\nContent-Length: 0\r\n\r\n", i, i),
		} {
			w.raw(t, request)
			a := <-heard.heard
			require.Contains(t, []string{"", "zoom"}, a.Source)
			labels[a.Source+" "+a.Outcome] = true
			require.NotContains(t, a.Outcome, "made-up")
		}
	}
	require.LessOrEqual(t, len(labels), 5, "%v", labels)
}

func TestALengthAloneTakesNoMemory(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret, "max_body: 1MiB")))
	request := "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat("x", 8193)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 60 {
		require.NotContains(t, w.raw(t, request), " 200 ")
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(30<<20), "60 requests that claim 60 MiB")
}

func TestAFloodOfRefusalsIsLoggedBySampleAndCountedInFull(t *testing.T) {
	heard, with := listen()
	w, _ := openFake(t, yaml("", doorSources...), with)
	refused := func() (lines int, left int64) {
		for _, l := range w.logs.TakeAll() {
			if l.Message == "request refused" {
				lines++
				n, _ := l.ContextMap()["more like it, not logged"].(int64)
				left += n
			}
		}
		return lines, left
	}
	for range 200 {
		require.Equal(t, http.StatusUnauthorized, w.post(t, "zoom", "{}").status)
		require.Equal(t, "missing-signature", (<-heard.heard).Outcome)
	}
	lines, left := refused()
	require.Equal(t, 10, lines)
	require.Zero(t, left)
	w.post(t, "github", "{}")
	<-heard.heard
	lines, _ = refused()
	require.Equal(t, 1, lines, "another source has its own")
	w.now.advance(10 * time.Second)
	w.post(t, "zoom", "{}")
	lines, left = refused()
	require.Equal(t, 1, lines)
	require.EqualValues(t, 190, left, "what was left out is told")
}
