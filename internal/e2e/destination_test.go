package e2e_test

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/activities/handler"
)

func TestADestinationThatAsksForTimeGetsItAndTheOthersRunOnce(t *testing.T) {
	t.Parallel()
	var refused time.Time
	waited := make(chan time.Duration, 1)
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if refused.IsZero() {
			refused = time.Now()
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		waited <- time.Since(refused)
	}))
	t.Cleanup(busy.Close)
	good := newTarget(t, func(int) int { return http.StatusNoContent })
	f := &flaky{}
	f.mended.Store(true)
	src := yaml("destinations:", to("busy", busy.URL, "attempts: 3, schedule: [100ms], jitter: 0.5")+
		to("good", good.url, "attempts: 3"))
	s := up(t, src, func(table *handler.Table) { handler.On(table, "zoom", "*", f.handle) })
	body := zoom(t, "meeting.started")
	id := s.send(t, body).EventID
	require.NoError(t, s.result(t, id))
	require.GreaterOrEqual(t, <-waited, 3*time.Second, "jitter takes nothing off what was asked for")
	require.EqualValues(t, 1, f.calls.Load())
	all := good.deliveries()
	require.Len(t, all, 1)
	require.Equal(t, sha256.Sum256([]byte(body)), all[0].body)
	require.Equal(t, id+":good", all[0].id)
	keep(t, s, "destinations", id, firstRun(t, s, id))
}

func TestOnlyTheDestinationThatFailedIsInTheDeadLetterAndItsReplay(t *testing.T) {
	t.Parallel()
	status := http.StatusGone
	bad := newTarget(t, func(n int) int {
		if n > 1 {
			return http.StatusOK
		}
		return status
	})
	good := newTarget(t, func(int) int { return http.StatusOK })
	src := yaml("destinations:", to("bad", bad.url, "attempts: 3")+to("good", good.url, "attempts: 3"))
	s := up(t, src, nil)
	id := s.send(t, zoom(t, "meeting.started")).EventID
	text := s.dead(t, id)
	require.Contains(t, text, "bad: destination bad: POST "+bad.url+" was answered 410 Gone")
	require.Contains(t, text, "attempts: 1", "410 is for good")
	require.NotContains(t, text, "good")
	require.NoError(t, s.reset(t, id, s.latest(t, id).GetExecution().GetRunId(), t.Name()))
	s.handled(t, id)
	require.Len(t, bad.deliveries(), 2)
	require.Len(t, good.deliveries(), 1)
}
