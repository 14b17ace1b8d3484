package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/event"
)

// town is a destination with three faults, each of which can be mended by itself. It
// remembers when it took which event.
type town struct {
	url string
	mu  sync.Mutex
	// mended are the types of event that are taken now.
	mended map[string]bool
	// taken is when each event was taken, refused how often each type was not.
	taken   map[string][]time.Time
	refused map[string]int
}

func newTown(t *testing.T) *town {
	w := &town{mended: map[string]bool{"meeting.live": true}, taken: map[string][]time.Time{}, refused: map[string]int{}}
	faults := map[string]int{"meeting.disk": 503, "meeting.mail": 422, "meeting.bank": 410}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // A sender that was killed.
		}
		var e struct{ Event string }
		_ = json.Unmarshal(body, &e)
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.mended[e.Event] {
			w.refused[e.Event]++
			rw.WriteHeader(faults[e.Event])
			return
		}
		id := r.Header.Get("Webhook-Id")
		w.taken[id] = append(w.taken[id], time.Now())
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// recorded is how long Temporal may take to record what a task did: the time-out of
// a workflow task, after which what it did is done again.
const recorded = 10 * time.Second

// repeats are the events that were taken again. One whose first delivery was not yet
// recorded when something was killed may be: nobody can know that it had arrived.
func (w *town) repeats(kills []time.Time) (excused int, twice []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, at := range w.taken {
		if len(at) == 1 {
			continue
		}
		if slices.ContainsFunc(kills, func(k time.Time) bool {
			return at[0].After(k.Add(-recorded)) && at[0].Before(k.Add(3*time.Second))
		}) {
			excused++
			continue
		}
		twice = append(twice, fmt.Sprint(id, at))
	}
	return excused, twice
}

// live sends an event every so often and remembers how long each answer took.
type live struct {
	mu    sync.Mutex
	took  []time.Duration
	lost  int
	total int
	stop  func()
}

func (s *system) live(t *testing.T, every time.Duration) *live {
	l, over := &live{}, make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = sync.OnceFunc(func() { cancel(); <-over })
	t.Cleanup(l.stop)
	go func() {
		defer close(over)
		var each sync.WaitGroup
		defer each.Wait()
		for n, tick := 0, time.NewTicker(every); ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				each.Go(func() { l.send(ctx, s, zoomOf(fmt.Sprint("live", time.Now().UnixNano(), n), "meeting.live")) })
			}
		}
	}()
	return l
}

func (l *live) send(ctx context.Context, s *system, body string) {
	ts := strconv.FormatInt(time.Now().Unix(), 10)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/webhooks/zoom", strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("x-zm-request-timestamp", ts)
	req.Header.Set("x-zm-signature", sign(s.secret, ts, body))
	began := time.Now()
	res, err := http.DefaultClient.Do(req)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	if err != nil || res.StatusCode != http.StatusOK {
		l.lost++ // Nobody was there, and the sender knows.
	} else {
		l.took = append(l.took, time.Since(began))
	}
	if err == nil {
		_ = res.Body.Close()
	}
}

// since ends a stretch of the measurement and tells what it came to.
func (l *live) since() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.took)
	at := func(share float64) time.Duration {
		if len(l.took) == 0 {
			return 0
		}
		return l.took[min(int(share*float64(len(l.took))), len(l.took)-1)].Round(100 * time.Microsecond)
	}
	text := fmt.Sprintf("%d live events, %d not taken, p50 %s, p99 %s", l.total, l.lost, at(0.5), at(0.99))
	l.took, l.total, l.lost = nil, 0, 0
	return text
}

// groupsOf asks the command for the dead letters by reason.
func (h *home) groupsOf(t *testing.T) map[string]int {
	t.Helper()
	out, code := h.run(t, "dlq", "list", "--group-by", "reason", "--json")
	require.Zero(t, code, out)
	var answer struct {
		Groups []deadletter.Group
		Cut    bool
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer), out)
	require.False(t, answer.Cut)
	groups := map[string]int{}
	for _, g := range answer.Groups {
		groups[g.Value] = g.Count
	}
	return groups
}

// untilSlowly waits for what takes the longer the more events there are.
func untilSlowly(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, time.Hour, 500*time.Millisecond, what)
}

// bare measures how many workflows a second Temporal starts when it does nothing else.
func bare(t *testing.T, s *system, n int) float64 {
	began := time.Now()
	var all sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			_, err := s.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: fmt.Sprint("bare", i), TaskQueue: "nobody's"}, "Bare")
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return float64(n) / time.Since(began).Seconds()
}

// What an operator has to be able to trust, on the embedded engine, with whatever can
// die dying half-way. GRAPNEL_DEAD_LETTERS says how many dead letters there are.
func TestAnOperationIsCarriedThroughWhateverDies(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it kills an engine and starts another one")
	}
	n, w := deadLettersInTest(t), newTown(t)
	h := newHome(t, yaml("destinations:",
		"  crm:\n    events: [\"zoom/meeting.*\"]\n    allow_private: [127.0.0.1]\n    http: {url: \""+w.url+"\"}\n"+
			// More than one attempt: one that a busy engine lost must not decide why an event died.
			"    retry: {attempts: 3, schedule: [100ms]}\n    breaker: {failure_ratio: 0}\n"),
		"GRAPNEL_LISTEN="+freePort(t), "GRAPNEL_LOG_LEVEL=info")
	p := h.start(t, "up")
	s := p.system(t)
	s.secret = secret
	began := time.Now()
	ids := died(t, s, n)
	untilSlowly(t, "all are dead", func() bool { return s.count(t, deadLetters) == int64(3*n) })
	t.Logf("%d dead letters made in %s", 3*n, time.Since(began).Round(time.Second))

	began = time.Now()
	groups := h.groupsOf(t)
	t.Logf("grouped in %s: %v", time.Since(began).Round(time.Millisecond), groups)
	require.Len(t, groups, 3)
	began = time.Now()
	out, code := h.run(t, "dlq", "list", "--json")
	require.Zero(t, code)
	require.Equal(t, 3*n, strings.Count(out, `"run":`), "none is left out silently")
	t.Logf("listed in %s", time.Since(began).Round(time.Millisecond))
	const reason = "answered 503 Service Unavailable"
	require.Equal(t, n, groups[reason], "%v", groups)
	out, code = h.run(t, "dlq", "replay", "--dead-reason", reason, "--dry-run")
	require.Zero(t, code, out)
	require.Contains(t, out, fmt.Sprintf("%d dead letters would be replayed", n))
	l := s.live(t, 100*time.Millisecond)
	time.Sleep(min(time.Duration(n)*20*time.Millisecond, 15*time.Second)) // a stretch to compare with
	t.Logf("before: %s", l.since())

	w.mu.Lock()
	w.mended["meeting.disk"] = true
	mail, bank := w.refused["meeting.mail"], w.refused["meeting.bank"]
	w.mu.Unlock()
	letters := deadletter.New(s.client, s.Namespace, "grapnel")
	began = time.Now()
	first := h.replayAndDie(t, letters, reason)
	two, err := letters.Begin(t.Context(), event.Operation{
		Action: event.ActionReplay, Filter: event.Filter{Reason: reason}, Deed: event.Deed{Actor: "bob", Reason: "did not know of ann"},
	}, "")
	require.NoError(t, err)
	s.temporal(t, "workflow", "reset", "--query", deadLetters+` AND EventReason="`+reason+`"`, "--type", "FirstWorkflowTask", "--reason", "stock", "--yes")
	untilSlowly(t, "a third is replayed", func() bool { return w.count(ids["meeting.disk"]) > n/3 })
	t.Logf("while it replays: %s", l.since())
	var kills []time.Time
	kills = append(kills, time.Now())
	require.NoError(t, syscall.Kill(h.engine(t).Engine, syscall.SIGKILL))
	until(t, "the engine serves again", func() bool { return strings.Contains(p.log.String(), "the engine serves again") })
	untilSlowly(t, "half are replayed", func() bool { return w.count(ids["meeting.disk"]) > n/2 })
	kills = append(kills, time.Now())
	p.kill(t)
	p = h.start(t, "up")
	s = p.system(t)
	s.secret = secret
	letters = deadletter.New(s.client, s.Namespace, "grapnel")
	a, b := ended(t, letters, first), ended(t, letters, two)
	took := time.Since(began)
	t.Logf("from the restart on: %s", l.since())
	l.stop()
	t.Logf("replayed in %s, through two kills: %v and %v", took.Round(time.Second), a.Counts, b.Counts)
	began = time.Now()
	left, err := letters.Tidy(t.Context(), func() {})
	require.NoError(t, err)
	t.Logf("%d runs were left over by the kills", left)
	until(t, "Temporal's own list is true", func() bool {
		return s.count(t, deadLetters+` AND EventReason="`+reason+`"`) == 0
	})
	t.Logf("Temporal's list is true %s after the end", time.Since(began).Round(100*time.Millisecond))

	require.Equal(t, n, w.count(ids["meeting.disk"]), "every one arrived")
	excused, twice := w.repeats(kills)
	require.Empty(t, twice, "handled more than once")
	t.Logf("%d deliveries were under way at a kill and made again", excused)
	for id, st := range map[string]deadletter.Status{first: a, two: b} {
		items, err := letters.Items(t.Context(), id, 0, 3*n)
		require.NoError(t, err)
		require.Len(t, items, st.Total)
		for _, item := range items {
			require.Contains(t, []event.Became{event.BecameHandled, event.BecameGone}, item.Became, "%v", item)
		}
	}
	delete(groups, reason)
	require.Equal(t, groups, h.groupsOf(t), "the other reasons are untouched")
	w.mu.Lock()
	require.Equal(t, mail, w.refused["meeting.mail"], "and were not tried")
	require.Equal(t, bank, w.refused["meeting.bank"])
	w.mu.Unlock()
	starts := bare(t, s, max(100, min(n, 1000)))
	t.Logf("%.0f replays a second with all that, %.0f bare starts a second: %.2f", float64(n)/took.Seconds(), starts, float64(n)/took.Seconds()/starts)
}

// count tells how many of some events were taken.
func (w *town) count(ids []string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if len(w.taken[id+":crm"]) > 0 { // A delivery's ID is made of the event's and of the route.
			n++
		}
	}
	return n
}

// replayAndDie begins an operation by the command, which is killed when it has begun.
func (h *home) replayAndDie(t *testing.T, letters *deadletter.Store, reason string) (id string) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), h.program(t), "dlq", "replay", "--dead-reason", reason, "--reason", "mended",
		"--rate", "50", "--actor", "ann@desk")
	cmd.Dir, cmd.Env = h.dir, h.env
	require.NoError(t, cmd.Start())
	until(t, "the operation is under way", func() bool {
		all, err := letters.Operations(t.Context(), 10)
		for _, op := range all {
			if op.Actor == "ann@desk" && op.Begun > 0 {
				id = op.ID
			}
		}
		return err == nil && id != ""
	})
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	return id
}

// The answer of the activity that settles may be lost after it has noted what it found: its
// next attempt counts the same again, and nobody else does.
func TestWhatIsSettledIsCountedThoughTheAnswerWasLost(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	free := make(chan struct{})
	s := up(t, yaml(), func(table *handler.Table) {
		handler.On(table, "zoom", "*", func(ctx context.Context, _ handler.Event[[]byte]) error {
			if calls.Add(1) == 1 {
				return handler.Permanent(errors.New("not yet"))
			}
			select {
			case <-free:
			case <-ctx.Done():
			}
			return ctx.Err()
		}, handler.Timeout(10*time.Minute))
	})
	id := s.send(t, zoom(t, "meeting.started")).EventID
	s.dead(t, id)
	letters, alive := deadletter.New(s.client, s.Namespace, s.queue), func() {}
	op := event.Operation{
		ID: "operation-" + id, Action: event.ActionReplay, Filter: event.Filter{IDs: []string{id}}, At: time.Now(), Rate: 1,
	}
	until(t, "its set is frozen", func() bool {
		_, total, err := letters.Freeze(t.Context(), op, alive)
		require.NoError(t, err)
		return total == 1
	})
	w := event.Work{Operation: op, Most: 1, Rate: 1}
	done, err := letters.Work(t.Context(), w, alive)
	require.NoError(t, err)
	require.Equal(t, map[event.Became]int{event.BecameStarted: 1}, done.Counts)
	close(free)
	require.NoError(t, s.result(t, id))

	handled := map[event.Became]int{event.BecameHandled: 1}
	for range 2 {
		counts, err := letters.Settle(t.Context(), w, "one", alive)
		require.NoError(t, err)
		require.Equal(t, handled, counts)
	}
	counts, err := letters.Settle(t.Context(), w, "another", alive)
	require.NoError(t, err)
	require.Empty(t, counts)
}
