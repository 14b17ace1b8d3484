package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// example is the configuration that grapnel comes with.
func example(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../grapnel.yaml")
	require.NoError(t, err)
	return string(text)
}

// engineRecord is what the engine's lock file says.
type engineRecord struct{ Grapnel, Engine int }

func (h *home) engine(t *testing.T) (r engineRecord) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, ".grapnel", "engine.lock"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &r))
	require.NotZero(t, r.Engine)
	return r
}

// engines counts the processes that have the engine's database open. Where the
// system has no /proc, it is told by the lock alone.
func (h *home) engines(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return h.locked(t)
	}
	want, err := os.Stat(filepath.Join(h.dir, ".grapnel", "engine.db"))
	require.NoError(t, err)
	processes, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	n := 0
	for _, process := range processes {
		files, _ := filepath.Glob(filepath.Join(process, "fd", "*"))
		for _, file := range files {
			if got, err := os.Stat(file); err == nil && os.SameFile(got, want) {
				n++
				break
			}
		}
	}
	return n
}

// locked is 1 where somebody holds the engine's lock and 0 where nobody does.
func (h *home) locked(t *testing.T) int {
	t.Helper()
	f, err := os.Open(filepath.Join(h.dir, ".grapnel", "engine.lock"))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return 1
	}
	return 0
}

func TestUpHandlesWhatIsSentAndKeepsItsState(t *testing.T) {
	t.Parallel()
	h := newHome(t, example(t))
	p := h.start(t, "up")
	s := p.system(t)
	require.Contains(t, p.out.String(), "grapnel send zoom")
	out, code := p.send(t, "--duplicate")
	require.Zero(t, code, "%s", out)
	first, second, _ := strings.Cut(out, "\n")
	id := eventID(t, first)

	t.Run("the event is handled within seven events of history", func(t *testing.T) {
		require.Contains(t, first, "200 ")
		require.NotContains(t, first, "duplicate")
		require.NoError(t, s.result(t, id))
		require.Len(t, s.history(t, id, ""), 7)
	})
	t.Run("it is found by its source and type, and its summary can be read", func(t *testing.T) {
		until(t, "visibility lists it", func() bool {
			return s.count(t, `WorkflowType="ProcessEvent" AND EventSource="zoom" AND EventType="meeting.started"`) == 1
		})
		summary := s.history(t, id, "")[0].GetUserMetadata().GetSummary().GetData()
		require.Contains(t, string(summary), "zoom meeting.started")
	})
	t.Run("the same event again is a duplicate", func(t *testing.T) {
		require.Regexp(t, `"(duplicate|queued)":true`, second, "queued is what a slow machine makes of it")
		require.Equal(t, id, eventID(t, second))
	})
	t.Run("a forged one is refused with 401", func(t *testing.T) {
		out, code := p.send(t, "--forge")
		require.Zero(t, code, "that is what was to be tried")
		require.Contains(t, out, `401 {"error":"Invalid signature"}`)
	})
	t.Run("an old one is refused with 400, and so is one of the future", func(t *testing.T) {
		out, code := p.send(t, "--skew", "-10m")
		require.Equal(t, 1, code)
		require.Contains(t, out, `400 {"error":"Request timestamp too old"}`)
		out, _ = p.send(t, "--skew", "10m")
		require.Contains(t, out, `400 {"error":"Request timestamp in the future"}`)
	})
	t.Run("the banner says what is in force, and shows no secret", func(t *testing.T) {
		require.Regexp(t, `(?m)^  source zoom +zoom +secrets set \(1\)`, p.out.String())
		require.Regexp(t, `(?m)^  admin token +not set`, p.out.String())
	})
	t.Run("the Web UI answers where the banner says", func(t *testing.T) {
		_, after, found := strings.Cut(p.out.String(), "Web UI")
		require.True(t, found)
		require.Equal(t, 200, status(t, strings.Fields(after)[0]))
	})
	t.Run("the log has a line for each event and outcome, without body and secret", func(t *testing.T) {
		log := p.log.String()
		require.Contains(t, log, id)
		require.Contains(t, log, "event handled")
		require.NotContains(t, log, "account_id")
		require.NotContains(t, log, "grapnel-development-secret")
	})

	known := s.send(t, zoom(t, "meeting.started"))
	require.True(t, known.Success)
	require.NoError(t, s.result(t, known.EventID))
	require.True(t, s.repeat(t, zoom(t, "meeting.started")).Duplicate)
	pid := h.engine(t).Engine
	p.interrupt(t)
	t.Run("Ctrl-C leaves nothing running", func(t *testing.T) {
		require.True(t, closed(p.receiver))
		require.True(t, closed(p.admin))
		require.True(t, closed(p.temporal))
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
		require.Zero(t, h.engines(t))
	})
	t.Run("Ctrl-C stops the receiver first, then the worker, then the rest", func(t *testing.T) {
		log := p.log.String()
		at := func(part string) int {
			return strings.Index(log, `"part": "`+part+`"`)
		}
		require.Positive(t, at("receiver"), "%s", log)
		require.Less(t, at("receiver"), at("worker"))
		require.Less(t, at("worker"), at("admin"))
		require.Less(t, at("admin"), at("engine"))
	})
	t.Run("after a restart the event is still known", func(t *testing.T) {
		again := h.start(t, "up")
		s := again.system(t)
		repeat := s.repeat(t, zoomOf("TestUpHandlesWhatIsSentAndKeepsItsState", "meeting.started"))
		require.True(t, repeat.Duplicate)
		require.Equal(t, known.EventID, repeat.EventID)
		require.Equal(t, 1, h.engines(t))
		require.NotEqual(t, pid, h.engine(t).Engine)
		require.NoError(t, s.result(t, again.sent(t)))
		again.interrupt(t)
	})
}

func status(t *testing.T, url string) int {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func TestUpRefusesADirectoryThatIsInUse(t *testing.T) {
	t.Parallel()
	h := newHome(t, example(t))
	p := h.start(t, "up")
	out, code := h.run(t, "up")
	require.Equal(t, 1, code)
	require.Contains(t, out, "another grapnel (pid "+strconv.Itoa(p.cmd.Process.Pid)+")")
	require.Contains(t, out, "GRAPNEL_DATA_DIR")
	require.NoError(t, p.system(t).result(t, p.sent(t)), "the first one goes on")
	require.Equal(t, 1, h.engines(t))
}

func TestUpStartsItsEngineAgainAndTakesEventsMeanwhile(t *testing.T) {
	t.Parallel()
	h := newHome(t, example(t))
	p := h.start(t, "up")
	s := p.system(t)
	require.NoError(t, s.result(t, p.sent(t)))
	before := h.engine(t).Engine
	require.NoError(t, syscall.Kill(before, syscall.SIGKILL))
	out, code := p.send(t, "--count", "5")
	require.Zero(t, code, "%s", out)
	for line := range strings.Lines(out) {
		require.Contains(t, line, "200 ")
		require.NoError(t, s.result(t, eventID(t, line)))
	}
	require.False(t, p.ended())
	require.NotEqual(t, before, h.engine(t).Engine)
	require.Equal(t, 1, h.engines(t))
	p.interrupt(t)
	require.Zero(t, h.engines(t))
}
