package e2e_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

// separate starts a half of grapnel with a data directory of its own.
func (h *home) separate(t *testing.T, command, name string) *program {
	t.Helper()
	own := &home{dir: h.dir, env: append([]string{"GRAPNEL_DATA_DIR=" + name}, h.env...)}
	return own.start(t, command)
}

// The wiring of docker-compose.yml: setup, two starters and two workers, all of
// them processes of their own, against a Temporal that runs elsewhere.
func TestStartersAndWorkersRunApartAgainstATemporalOfTheirOwn(t *testing.T) {
	t.Parallel()
	server := enginetest.Shared(t)
	h := newHome(t, example(t), "TEMPORAL_ADDRESS="+server.Address, "TEMPORAL_NAMESPACE=apart")
	for range 2 { // It is safe to repeat.
		out, code := h.run(t, "setup")
		require.Zero(t, code, "%s", out)
	}
	first, second := h.separate(t, "starter", "one"), h.separate(t, "starter", "two")
	workers := []*program{h.separate(t, "worker", "three"), h.separate(t, "worker", "four")}
	require.Equal(t, server.Address, first.temporal)
	require.Equal(t, "apart", first.namespace)
	for _, p := range append(workers, first, second) {
		until(t, "it is ready", func() bool { return status(t, p.admin+"/readyz") == 200 })
	}
	s := first.system(t)

	t.Run("what either starter takes is handled", func(t *testing.T) {
		for _, p := range []*program{first, second} {
			out, code := p.send(t, "--count", "5")
			require.Zero(t, code, "%s", out)
			for line := range strings.Lines(out) {
				require.NoError(t, s.result(t, eventID(t, line)))
			}
		}
	})
	t.Run("a repeat is known to the starter that has not seen it", func(t *testing.T) {
		s.url = first.receiver
		a := s.send(t, zoom(t, "meeting.started"))
		require.False(t, a.Duplicate)
		require.NoError(t, s.result(t, a.EventID))
		s.url = second.receiver
		require.True(t, s.repeat(t, zoom(t, "meeting.started")).Duplicate)
	})
	t.Run("with one worker gone the other one goes on", func(t *testing.T) {
		workers[0].interrupt(t)
		require.NoError(t, s.result(t, first.sent(t)))
	})
	for _, p := range []*program{first, second, workers[1]} {
		p.interrupt(t)
	}
}

// forwarder stands between grapnel and Temporal and lets nothing through until
// it is opened.
type forwarder struct {
	address string
	open    atomic.Bool
}

func newForwarder(t *testing.T, to string) *forwarder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	f := &forwarder{address: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !f.open.Load() {
				_ = c.Close()
				continue
			}
			go forward(c, to)
		}
	}()
	return f
}

func forward(c net.Conn, to string) {
	defer func() { _ = c.Close() }()
	up, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = up.Close() }()
	go func() {
		_, _ = io.Copy(up, c)
		_ = up.Close()
	}()
	_, _ = io.Copy(c, up)
}

func TestStarterAndWorkerBootWhileTemporalIsAwayAndCatchUp(t *testing.T) {
	t.Parallel()
	server := enginetest.Shared(t)
	f := newForwarder(t, server.Address)
	h := newHome(t, example(t), "TEMPORAL_ADDRESS="+f.address, "GRAPNEL_TASK_QUEUE="+t.Name())
	starter, worker := h.separate(t, "starter", "one"), h.separate(t, "worker", "two")
	require.Equal(t, 200, status(t, starter.admin+"/readyz"), "its disk takes events")
	require.Equal(t, 503, status(t, worker.admin+"/readyz"))
	require.Equal(t, 200, status(t, worker.admin+"/healthz"))
	out, code := starter.send(t, "--count", "3")
	require.Zero(t, code, "%s", out)
	require.Equal(t, 3, strings.Count(out, `"queued":true`), "%s", out)

	f.open.Store(true)
	s := systemOf(server.Client, server.Address, server.Namespace)
	for line := range strings.Lines(out) {
		id := eventID(t, line)
		until(t, "the event is started", func() bool {
			_, err := s.client.DescribeWorkflowExecution(t.Context(), id, "")
			return err == nil
		})
		require.NoError(t, s.result(t, id))
	}
	require.Equal(t, 200, status(t, worker.admin+"/readyz"))
	starter.interrupt(t)
	worker.interrupt(t)
}

func TestAStarterWithoutADiskSaysTryLaterWhileTemporalIsAway(t *testing.T) {
	t.Parallel()
	f := newForwarder(t, "127.0.0.1:1")
	h := newHome(t, example(t), "TEMPORAL_ADDRESS="+f.address)
	p := h.start(t, "starter")
	out, code := p.send(t)
	require.Equal(t, 1, code)
	require.Contains(t, out, "503 ")
	require.Equal(t, 503, status(t, p.admin+"/readyz"))
	p.interrupt(t)
}

func TestWhereNoWorkerPollsEverythingSaysSo(t *testing.T) {
	t.Parallel()
	server := enginetest.Shared(t)
	h := newHome(t, example(t), "TEMPORAL_ADDRESS="+server.Address, "GRAPNEL_TASK_QUEUE="+t.Name())
	p := h.separate(t, "starter", "one")
	const says = "no worker polls task queue "
	require.Contains(t, page(t, p.admin+"/readyz"), says+t.Name())
	require.Equal(t, 200, status(t, p.admin+"/readyz"), "events are taken all the same")
	out, code := h.run(t, "check")
	require.Zero(t, code, "%s", out)
	require.Contains(t, string(out), "warning: no worker polls the task queue")

	worker := h.separate(t, "worker", "two")
	until(t, "the worker is seen", func() bool { return !strings.Contains(page(t, p.admin+"/readyz"), says) })
	until(t, "the metric tells when", func() bool { return strings.Contains(page(t, p.admin+"/metrics"), "grapnel_worker_last_poll") })
	out, code = h.run(t, "check")
	require.Zero(t, code, "%s", out)
	require.NotContains(t, string(out), "no worker polls")
	p.interrupt(t)
	worker.interrupt(t)
}

// page reads what an address answers.
func page(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(text)
}
