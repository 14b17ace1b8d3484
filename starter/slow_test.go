package starter_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// silentServer takes connections and never says anything.
func silentServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
	}()
	return l.Addr().String()
}

// drip sends a byte again and again until the other side has had enough, and
// gives what it answered.
func drip(t *testing.T, addr, head, more string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_, err = io.WriteString(c, head)
	require.NoError(t, err)
	ended := make(chan string, 1)
	go func() {
		answer, _ := io.ReadAll(c) // A connection that is reset ends it too.
		ended <- string(answer)
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case answer := <-ended:
			return answer
		case <-tick.C:
			_, _ = io.WriteString(c, more)
		case <-t.Context().Done():
			return ""
		}
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	w := openDoor(t, "timeouts: {header: 200ms, read: 400ms}\nsources:\n"+source("a", "max_body: 1MiB"))
	for _, test := range []struct{ name, head, more string }{
		{"a header that never ends", "POST /webhooks/a HTTP/1.1\r\nHost: x\r\nX-Slow: ", "a"},
		{"headers that never end", "POST /webhooks/a HTTP/1.1\r\nHost: x\r\n", "X-A: b\r\n"},
		{"a request line that never ends", "POST /", "a"},
		{"a body that never ends", "POST /webhooks/a HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n", "a"},
		{"chunks that never end", "POST /webhooks/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"},
		{"silence", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := drip(t, w.addr, test.head, test.more)
			require.NotContains(t, answer, " 200 ")
			if answer != "" {
				require.Contains(t, answer, "HTTP/1.1 408 ")
			}
		})
	}
	require.Zero(t, w.engine.started.Load())
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status)
}

func TestBoundOnRequests(t *testing.T) {
	w := openDoor(t, "max_requests: 1\nsources:\n"+source("a"))
	w.engine.entered, w.engine.leave = make(chan struct{}), make(chan struct{})
	first := make(chan int, 1)
	go func() { first <- w.post(t, "a", "{}", token()...).status }()
	<-w.engine.entered
	r := w.post(t, "a", "{}", token()...)
	require.Equal(t, http.StatusServiceUnavailable, r.status)
	require.Equal(t, "1", r.header.Get("Retry-After"))
	require.NotContains(t, r.body, "max_requests")

	w.reload(t, "max_requests: 2\nsources:\n"+source("a"))
	second := make(chan int, 1)
	go func() { second <- w.post(t, "a", "{}", token()...).status }()
	<-w.engine.entered
	close(w.engine.leave)
	require.Equal(t, http.StatusOK, <-first)
	require.Equal(t, http.StatusOK, <-second)
}

func TestAnIdleConnectionMakesRoomForANewOne(t *testing.T) {
	w := openDoor(t, "max_requests: 2\nsources:\n"+source("a"))
	post := func(c net.Conn) error {
		_, _ = fmt.Fprintf(c, "POST /webhooks/a HTTP/1.1\r\nHost: x\r\nX-Webhook-Token: %s\r\nContent-Length: 2\r\n\r\n{}", token()[1])
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		require.Equal(t, http.StatusOK, res.StatusCode)
		return res.Body.Close()
	}
	var open []net.Conn
	for range 10 {
		c, err := net.Dial("tcp", w.addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		require.NoError(t, post(c))
		open = append(open, c)
	}
	dead := 0
	for _, c := range open {
		if post(c) != nil {
			dead++
		}
	}
	require.NoError(t, post(open[9]), "the newest")
	require.Contains(t, []int{2, 3}, dead, "eight are held; the test's own first one may be among them")
}
