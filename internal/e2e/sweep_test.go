package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/sweep"
)

// github stands in for GitHub: a hook whose deliveries its API lists as
// docs.github.com has it, by pages with a cursor, and makes again when it is asked to.
type github struct {
	url string
	mu  sync.Mutex
	// failed are the bodies that were never delivered, by delivery.
	failed map[int64]string
	// deliver hands one over; limited is how many calls a rate limit still refuses.
	deliver func(body string) int
	limited int
}

func newGitHub(t *testing.T, deliver func(body string) int, bodies ...string) *github {
	g := &github{failed: map[int64]string{}, deliver: deliver, limited: 1}
	for i, body := range bodies {
		g.failed[int64(i+1)] = body
	}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	g.mu.Lock() // Its own answers name it.
	defer g.mu.Unlock()
	g.url = server.URL
	return g
}

// ServeHTTP implements http.Handler.
func (g *github) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const list = "/repos/acme/shop/hooks/7/deliveries"
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "Bearer the-token-of-the-worker":
		w.WriteHeader(http.StatusUnauthorized)
	case g.limited > 0:
		g.limited--
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(time.Second).Unix(), 10))
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodGet && r.URL.Path == list:
		page, _ := strconv.ParseInt(r.URL.Query().Get("cursor"), 10, 64)
		if page < 2 {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?per_page=100&cursor=%d>; rel="next"`, g.url, list, page+1))
		}
		rows := []map[string]any{}
		if id := page + 1; g.failed[id] != "" {
			rows = append(rows, map[string]any{
				"id": id, "guid": fmt.Sprint("guid-", id), "delivered_at": time.Now().Add(-time.Hour).Format(time.RFC3339),
				"redelivery": false, "status": "timed out", "status_code": 0, "event": "push", "action": nil,
			})
		}
		_ = json.NewEncoder(w).Encode(rows)
	case r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, list+"/") && strings.HasSuffix(r.URL.Path, "/attempts"):
		id, _ := strconv.ParseInt(strings.Split(r.URL.Path, "/")[7], 10, 64)
		if g.deliver(g.failed[id]) == http.StatusOK {
			delete(g.failed, id)
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("{}"))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func TestAScheduleSweepsWhatGitHubCouldNotDeliver(t *testing.T) {
	t.Parallel()
	h := newHome(t, yaml("destinations: {}"), "GITHUB_TOKEN=the-token-of-the-worker")
	p := h.start(t, "up")
	s := p.system(t)
	s.secret = secret
	bodies := []string{zoomOf("swept 1", "meeting.started"), zoomOf("swept 2", "meeting.started")}
	var ids []string
	g := newGitHub(t, func(body string) int {
		a := s.send(t, body)
		ids = append(ids, a.EventID)
		return a.Status
	}, bodies...)
	out, code := h.run(t, "sweep", "github", "--repo", "acme/shop", "--hook", "7", "--api", g.url, "--dry-run")
	require.Zero(t, code, "a rate limit is waited out: %s", out)
	require.Contains(t, out, "2 events would be asked for again. Nothing was done.")
	require.Empty(t, ids)
	g.mu.Lock()
	g.limited = 1
	g.mu.Unlock()
	out, code = h.run(t, "sweep", "github", "--repo", "acme/shop", "--hook", "7", "--api", g.url, "--every", "10m")
	require.Zero(t, code, out)
	require.Contains(t, out, "github-acme-shop-7 is scheduled: every 10m")
	scheduled := sweep.Schedules{Temporal: s.client, TaskQueue: "grapnel"}
	var one sweep.Scheduled
	until(t, "the first sweep is made at once, by the worker", func() bool {
		var err error
		one, err = scheduled.Get(t.Context(), "github-acme-shop-7")
		return err == nil && one.Result.Asked == 2
	})
	require.Equal(t, 10*time.Minute, one.Every)
	require.Len(t, ids, 2)
	for _, id := range ids {
		until(t, "what was missed is an event like any other", func() bool {
			_, err := s.client.DescribeWorkflowExecution(t.Context(), id, "")
			return err == nil
		})
	}

	// It lives in Temporal: another grapnel goes on with it, and it can be changed.
	p.kill(t)
	p = h.start(t, "up")
	out, code = h.run(t, "sweep", "github", "--repo", "acme/shop", "--hook", "7", "--api", g.url, "--every", "20m")
	require.Zero(t, code, out)
	require.Contains(t, out, "is changed")
	s = p.system(t)
	scheduled.Temporal = s.client
	require.NoError(t, s.client.ScheduleClient().GetHandle(t.Context(), "grapnel-sweep-github-acme-shop-7").Trigger(t.Context(), client.ScheduleTriggerOptions{}))
	until(t, "it finds nothing any more", func() bool {
		one, err := scheduled.Get(t.Context(), "github-acme-shop-7")
		return err == nil && one.Every == 20*time.Minute && one.Fault == "" && one.Result == event.Swept{}
	})
	out, code = h.run(t, "sweep", "list")
	require.Zero(t, code, out)
	require.Regexp(t, `github-acme-shop-7 +github +20m0s +72h0m0s .* 0 failed, 0 asked for again`, out)
	out, code = h.run(t, "sweep", "remove", "github-acme-shop-7")
	require.Zero(t, code, out)
	out, code = h.run(t, "sweep", "remove", "github-acme-shop-7")
	require.NotZero(t, code)
	require.Contains(t, out, "there is no such sweep")
	until(t, "none is listed", func() bool {
		out, code = h.run(t, "sweep", "list")
		return code == 0 && strings.Contains(out, "No sweeps are scheduled.")
	})
}
