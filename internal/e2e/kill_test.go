package e2e_test

import (
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

// delivery is what a destination was sent.
type delivery struct {
	id, attempt string
	body        [sha256.Size]byte
	length      int
}

// target is the test's own destination. What it answers is given by answer,
// which may block.
type target struct {
	url    string
	mu     sync.Mutex
	all    []delivery
	answer func(n int) int
}

func newTarget(t *testing.T, answer func(n int) int) *target {
	t.Helper()
	g := &target{answer: answer}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // A sender that was killed.
		}
		g.mu.Lock()
		g.all = append(g.all, delivery{
			r.Header.Get("Webhook-Id"), r.Header.Get("Grapnel-Attempt"), sha256.Sum256(body), len(body),
		})
		n := len(g.all)
		g.mu.Unlock()
		w.WriteHeader(g.answer(n))
	}))
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

func (g *target) deliveries() []delivery {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]delivery(nil), g.all...)
}

// held is a destination that holds its first delivery back, so that an event
// stays between its acknowledgement and its end for as long as a test likes.
func held(t *testing.T) (g *target, arrived <-chan struct{}, release func()) {
	t.Helper()
	first, free := make(chan struct{}), make(chan struct{})
	g = newTarget(t, func(n int) int {
		if n == 1 {
			close(first)
			<-free
			return http.StatusServiceUnavailable // Who sent it may hear nothing any more.
		}
		return http.StatusOK
	})
	release = sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	return g, first, release
}

func TestKillBetweenAcknowledgementAndEndLosesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts two engines for each case")
	}
	for _, c := range []struct {
		name string
		kill func(t *testing.T, p *program, engine int)
	}{
		{"of up alone", func(t *testing.T, p *program, _ int) { p.kill(t) }},
		{"of up and then of its engine", func(t *testing.T, p *program, engine int) {
			p.kill(t)
			if err := syscall.Kill(engine, syscall.SIGKILL); err != nil {
				require.ErrorIs(t, err, syscall.ESRCH, "the kernel was faster")
			}
		}},
		{"of the engine and up at once", func(t *testing.T, p *program, engine int) {
			require.NoError(t, syscall.Kill(engine, syscall.SIGKILL))
			p.kill(t)
		}},
		{"of the engine alone, which up starts again", func(t *testing.T, p *program, engine int) {
			require.NoError(t, syscall.Kill(engine, syscall.SIGKILL))
			until(t, "the engine serves again", func() bool {
				return strings.Contains(p.log.String(), "the engine serves again")
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g, arrived, release := held(t)
			h := newHome(t, yaml("destinations:", to("crm", g.url, "attempts: 3, initial: 100ms")))
			p := h.start(t, "up")
			s := p.system(t)
			s.secret = secret
			id := s.send(t, zoom(t, "meeting.started")).EventID
			select {
			case <-arrived:
			case <-time.After(patience):
				t.Fatal("the event never came to its destination")
			}
			require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, s.latest(t, id).GetStatus())
			before := h.engine(t).Engine
			c.kill(t, p, before)

			again := p
			if p.ended() {
				again = h.start(t, "up")
			} else {
				release()
			}
			require.Equal(t, 1, h.engines(t), "never two engines on one file")
			require.NotEqual(t, before, h.engine(t).Engine)
			s = again.system(t)
			require.NoError(t, s.result(t, id))
			all := g.deliveries()
			require.Len(t, all, 2)
			require.Equal(t, all[0].id, all[1].id, "the receiver can tell a repeat")
			require.Equal(t, all[0].body, all[1].body)
			require.Equal(t, "1", all[0].attempt)
			require.Equal(t, "2", all[1].attempt, "the lost attempt counts")
			s.url, s.secret = again.receiver, secret
			require.True(t, s.repeat(t, zoom(t, "meeting.started")).Duplicate)
			again.interrupt(t)
			require.Zero(t, h.engines(t))
		})
	}
}

// to is a destination of a configuration for the test's own target.
func to(name, url, retry string, more ...string) string {
	text := "  " + name + ":\n    events: [\"zoom/*\"]\n    allow_private: [127.0.0.1]\n    http: {url: \"" + url + "\"}\n" +
		"    retry: {" + retry + "}\n"
	for _, line := range more {
		text += "    " + line + "\n"
	}
	return text
}

// away is a system whose workers are processes of their own.
func away(t *testing.T) *system {
	t.Helper()
	server := enginetest.Shared(t)
	s := systemOf(server.Client, server.Address, server.Namespace)
	s.queue, s.secret, s.answers = t.Name(), secret, &answers{}
	s.url = s.receiver(t, mustParse(t, yaml()))
	return s
}

func TestKillOfAWorkerCostsAnAttemptAndNoEvent(t *testing.T) {
	t.Parallel()
	s := away(t)
	v := supervise(t, s)
	id := s.send(t, zoom(t, "meeting.hangs")).EventID
	require.Equal(t, "hangs", <-v.said)
	require.NoError(t, v.current.Load().Kill())
	require.NoError(t, s.result(t, id))
	lost := 0
	for _, e := range s.history(t, id, "") {
		if e.GetEventType() == enums.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT {
			lost++
		}
	}
	require.Equal(t, 1, lost, "the task comes back after its ten seconds")
	keep(t, s, "lost_task", id, firstRun(t, s, id))
}

func TestKillByAHandlerThatExitsTakesItsWorkerDownForItsAttemptsAndNoLonger(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("each attempt of a handler that exits takes its time-out")
	}
	s := away(t)
	v := supervise(t, s)
	id := s.send(t, zoom(t, "meeting.exits")).EventID
	var others []string
	for i := range 3 {
		until(t, "the handler ends its worker", func() bool { return v.exits.Load() > int32(i) })
		for j := range 3 {
			body := zoomOf(t.Name()+strconv.Itoa(10*i+j), "meeting.works")
			others = append(others, s.send(t, body).EventID)
		}
	}
	text := s.dead(t, id)
	require.Contains(t, text, "zoom/meeting/exits: no end within the time-out: it hung, or its worker died")
	require.Contains(t, text, "attempts: 3")
	keep(t, s, "exits", id, firstRun(t, s, id))
	for _, other := range others {
		require.NoError(t, s.result(t, other))
	}
	process := v.current.Load()
	require.NoError(t, s.result(t, s.send(t, zoom(t, "meeting.works")).EventID))
	require.EqualValues(t, 3, v.exits.Load(), "one for each attempt")
	require.NoError(t, process.Signal(syscall.Signal(0)), "the worker lives on")
	require.NotEqual(t, os.Getpid(), process.Pid)
}
