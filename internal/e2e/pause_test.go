package e2e_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"github.com/grapnel/grapnel/internal/deadletter"
)

// call asks the admin listener.
func (p *program) call(t *testing.T, method, path, body string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.admin+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	all, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(all)
}

func (p *program) shows(t *testing.T, path string, parts ...string) {
	t.Helper()
	until(t, "it is shown by "+path, func() bool {
		_, text := p.call(t, http.MethodGet, path, "")
		for _, part := range parts {
			if !strings.Contains(text, part) {
				return false
			}
		}
		return true
	})
}

// TestAPauseOutlivesEveryProcess pauses a destination by command and resumes it by REST,
// and a source the other way round, with a kill -9 of everything in between.
func TestAPauseOutlivesEveryProcess(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts two engines")
	}
	g := newTarget(t, func(int) int { return http.StatusOK })
	h := newHome(t, yaml("destinations:", to("crm", g.url, "attempts: 3")))
	p := h.start(t, "up")
	out, code := h.run(t, "pause", "destination", "crm", "--reason", "they move house", "--actor", "ann@desk")
	require.Zero(t, code, out)
	require.Equal(t, "destination crm is paused\n", out)
	s := p.system(t)
	s.secret = secret
	p.shows(t, "/metrics", `grapnel_destination_paused{destination="crm"} 1`)
	id := s.send(t, zoom(t, "meeting.started")).EventID
	p.shows(t, "/readyz", "destination/crm", "ann@desk", "they move house")
	p.shows(t, "/metrics", `grapnel_deferrals_total{destination="crm",reason="paused"}`)
	p.shows(t, "/api/v1/destinations", `"actor":"ann@desk"`, `"reason":"they move house"`)
	// The metric counts before Temporal has recorded what the task did.
	until(t, "the event tells why it waits", func() bool {
		out, code = h.run(t, "events", "show", id)
		return code == 0 && strings.Contains(out, "destination crm is paused by ann@desk: they move house")
	})
	engine := h.engine(t).Engine
	p.kill(t)
	if err := syscall.Kill(engine, syscall.SIGKILL); err != nil {
		require.ErrorIs(t, err, syscall.ESRCH, "the kernel was faster")
	}

	p = h.start(t, "up")
	s = p.system(t)
	s.secret = secret
	p.shows(t, "/readyz", "destination/crm", "ann@desk")
	out, _ = h.run(t, "pause")
	require.Regexp(t, `^destination/crm +since .* by ann@desk +they move house\n$`, out)
	require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, s.latest(t, id).GetStatus())
	require.Empty(t, g.deliveries())
	status, text := p.call(t, http.MethodPost, "/api/v1/destinations/crm/resume", `{"actor":"bob","reason":"they are back"}`)
	require.Equal(t, 200, status, text)
	require.NoError(t, s.result(t, id))
	require.Len(t, g.deliveries(), 1)
	require.Equal(t, "1", g.deliveries()[0].attempt, "no attempt was used up")

	status, text = p.call(t, http.MethodPost, "/api/v1/sources/zoom/pause", `{"actor":"bob","reason":"a flood"}`)
	require.Equal(t, 200, status, text)
	p.shows(t, "/readyz", "source/zoom", "by bob: a flood")
	p.shows(t, "/metrics", `grapnel_source_paused{source="zoom"} 1`)
	p.shows(t, "/api/v1/sources", `"reason":"a flood"`)
	ts := "1687276800"
	require.Equal(t, 401, s.post(t, zoom(t, "meeting.ended"), ts, sign("another", ts, zoom(t, "meeting.ended"))).Status, "it is verified all the same")
	kept := s.send(t, zoom(t, "meeting.ended"))
	require.True(t, kept.Success)
	require.Equal(t, 200, status)
	require.True(t, s.repeat(t, zoom(t, "meeting.ended")).Duplicate)
	status, _ = p.call(t, http.MethodPost, "/api/v1/sources/nobody/pause", `{}`)
	require.Equal(t, 404, status)
	until(t, "it is planned to wait", func() bool {
		out, code := h.run(t, "events", "show", kept.EventID)
		return code == 0 && strings.Contains(out, "source zoom is paused by bob: a flood")
	})
	require.Len(t, g.deliveries(), 1)
	out, code = h.run(t, "resume", "source", "zoom")
	require.Zero(t, code, out)
	require.NoError(t, s.result(t, kept.EventID))
	require.Len(t, g.deliveries(), 2)
	p.interrupt(t)
}

// TestEventsOfADestinationThatIsRemovedBecomeDeadLettersThatNameIt edits the file while
// an event waits for a circuit, one for its next attempt and one for the end of a pause.
func TestEventsOfADestinationThatIsRemovedBecomeDeadLettersThatNameIt(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a worker waits half a minute before it takes a route for gone")
	}
	down := newTarget(t, func(int) int { return http.StatusServiceUnavailable })
	good := newTarget(t, func(int) int { return http.StatusOK })
	stays := to("stays", good.url, "attempts: 3")
	h := newHome(t, yaml("destinations:", stays+
		to("crm", down.url, "attempts: 5, schedule: [5s]", "breaker: {min_calls: 1, open: 5s, max_open: 5s}")+
		to("paused", down.url, "attempts: 5")+
		to("tried", down.url, "attempts: 5, schedule: [5s]", "breaker: {failure_ratio: 0}")))
	p := h.start(t, "up")
	out, code := h.run(t, "pause", "destination", "paused")
	require.Zero(t, code, out)
	s := p.system(t)
	s.secret = secret
	id := s.send(t, zoom(t, "meeting.started")).EventID
	until(t, "all wait", func() bool { return len(down.deliveries()) >= 2 && len(good.deliveries()) == 1 })
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "grapnel.yaml"), []byte(yaml("destinations:", stays)), 0o600))
	until(t, "the new file is in force", func() bool {
		_, text := p.call(t, http.MethodGet, "/api/v1/destinations", "")
		return !strings.Contains(text, `"crm"`)
	})
	text := s.dead(t, id)
	for _, name := range []string{"crm", "paused", "tried"} {
		require.Contains(t, text, name+": there is no route "+name+" any more: it was removed while the event waited for it")
	}
	l, err := deadletter.New(s.client, s.Namespace, s.queue).Get(t.Context(), id)
	require.NoError(t, err)
	require.Contains(t, l.Letter.Done, "stays")
	require.Len(t, good.deliveries(), 1)
	p.interrupt(t)
}
