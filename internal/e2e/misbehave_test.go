package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/eventlog"
)

// misbehaviour is one way in which a destination answers, and what becomes of its
// event.
type misbehaviour struct {
	name string
	// answer is told the number of the call.
	answer func(n int, w http.ResponseWriter, r *http.Request)
	// http is more of the destination's http block, retry its retry block.
	http, retry string
	// calls is how often it is called.
	calls int
	// dead is what the dead letter says; empty where the event is handled.
	dead string
	// apart is the least time between its first two calls.
	apart time.Duration
}

func statuses(all ...int) func(int, http.ResponseWriter, *http.Request) {
	return func(n int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(all[min(n, len(all))-1]) }
}

// says answers with bytes of the test's own, and resets the connection where reset is set.
func says(text string, reset bool) func(int, http.ResponseWriter, *http.Request) {
	return func(n int, w http.ResponseWriter, _ *http.Request) {
		if n > 1 {
			return // 200
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, text)
		if tcp, ok := c.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

func hints(status int, hint func() string) func(int, http.ResponseWriter, *http.Request) {
	return func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.Header().Set("Retry-After", hint())
			w.WriteHeader(status)
		}
	}
}

func hang(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// drip sends the beginning of a body that never ends.
func drip(status int) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "first bytes")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// ugly is a page of 10 MB with everything in it that no text should have.
func ugly(_ int, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("X-Ugly", "a\tb")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, "<!DOCTYPE html>\r\n<h1>Bad\x00\x1b[31m\xff\u0085\u2028</h1>\nWebhook-Id: forged\r\n\r\n")
	for range 160 {
		if _, err := io.WriteString(w, strings.Repeat("é", 32<<10)); err != nil {
			return
		}
	}
}

func misbehaviours() []misbehaviour {
	const soon, once = "attempts: 5, schedule: [100ms], jitter: 0", "attempts: 1"
	return []misbehaviour{
		{name: "it fails and recovers", answer: statuses(500, 502, 200), retry: soon, calls: 3},
		{name: "it flaps", answer: statuses(503, 500, 503, 200), retry: soon, calls: 4},
		{name: "it fails to the end", answer: statuses(500), retry: "attempts: 2, schedule: [100ms]", calls: 2, dead: "answered 500"},
		{name: "it refuses the event", answer: statuses(422), retry: soon, calls: 1, dead: "answered 422"},
		{name: "it is gone", answer: statuses(410), retry: soon, calls: 1, dead: "answered 410 Gone"},
		{name: "it redirects", answer: func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere?token=hunter2", http.StatusPermanentRedirect)
		}, retry: once, calls: 1, dead: "/elsewhere that is not followed"},
		{name: "it resets the connection", answer: says("", true), retry: soon, calls: 2},
		{name: "it closes the connection within the header", answer: says("HTTP/1.1 200 O", false), retry: soon, calls: 2},
		{name: "it breaks off within the body, having taken the event", answer: says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", false), retry: soon, calls: 1},
		{name: "it speaks no HTTP", answer: says("220 mail.example.com ESMTP\r\n", false), retry: once, calls: 1, dead: "malformed"},
		{name: "its status line holds control characters", answer: says("HTTP/1.1 500 a\x1b[31m\x00b\r\nContent-Length: 0\r\n\r\n", false), retry: soon, calls: 2},
		{name: "its header never ends", answer: says("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("a", 1<<20), false), retry: once, calls: 1, dead: "failed"},
		{name: "it hangs", answer: hang, http: ", timeout: 300ms", retry: once, calls: 1, dead: "was not answered in time"},
		{name: "it takes the event and its body drips", answer: drip(200), retry: soon, calls: 1},
		{name: "it refuses the event and its body drips", answer: drip(400), retry: soon, calls: 1, dead: "first bytes"},
		{name: "it asks for a second", answer: hints(503, func() string { return "1" }), retry: soon, calls: 2, apart: time.Second},
		{name: "it asks for a time", answer: hints(503, func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) }), retry: soon, calls: 2, apart: time.Second},
		{name: "it asks for what can't be read", answer: hints(503, func() string { return "soon" }), retry: soon, calls: 2},
		{name: "it says no and means yes", answer: statuses(409), http: ", success_on: [409]", retry: soon, calls: 1},
		{name: "it says yes and means no", answer: statuses(202, 200), http: ", failure_on: [201-204]", retry: soon, calls: 2},
		{name: "it refuses and means later", answer: statuses(404, 200), http: ", failure_on: [4xx]", retry: soon, calls: 2},
		{name: "it answers with an ugly page of 10 MB", answer: ugly, retry: soon, calls: 1, dead: "<!DOCTYPE html>"},
	}
}

// TestDestinationsThatMisbehave sends an event to each of them: it is handled or a dead
// letter that says why, and is never lost or handed over more often than it should be.
func TestDestinationsThatMisbehave(t *testing.T) {
	t.Parallel()
	all := misbehaviours()
	var mu sync.Mutex
	calls := map[string][]time.Time{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var i int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &i)
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		calls[r.URL.Path] = append(calls[r.URL.Path], time.Now())
		n := len(calls[r.URL.Path])
		mu.Unlock()
		all[i].answer(n, w, r)
	}))
	t.Cleanup(server.Close)
	src := []string{"destinations:"}
	for i, c := range all {
		if !strings.Contains(c.http, "timeout") {
			c.http += ", timeout: 30s" // The machine may be slow, and each is to be called so often.
		}
		src = append(src, fmt.Sprintf("  d%d: {events: [zoom/meeting.%d], allow_private: [127.0.0.1], http: {url: \"%s/%d\"%s}, retry: {%s}, breaker: {failure_ratio: 0}}",
			i, i, server.URL, i, c.http, c.retry))
	}
	s := up(t, yaml(src...), nil)
	letters := deadletter.New(s.client, s.Namespace, s.queue)
	ids := make([]string, len(all))
	for i := range all {
		ids[i] = s.send(t, zoomOf(t.Name(), fmt.Sprint("meeting.", i))).EventID
	}
	for i, c := range all {
		t.Run(c.name, func(t *testing.T) {
			if c.dead == "" {
				require.NoError(t, s.result(t, ids[i]))
			} else {
				require.Contains(t, s.dead(t, ids[i]), c.dead)
				l, err := letters.Get(t.Context(), ids[i])
				require.NoError(t, err)
				answer := l.Letter.Failures[0].Answer
				require.LessOrEqual(t, len(answer), 20<<10+len("…"))
				require.True(t, utf8.ValidString(answer))
				require.NotContains(t, l.Letter.Failures[0].Message, "\n")
				require.NotContains(t, l.Letter.Failures[0].Message, "hunter2")
				for _, r := range answer {
					require.True(t, r == '\n' || r == '\t' || !unicode.IsControl(r), "%q", r)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			at := calls[fmt.Sprint("/", i)]
			require.Len(t, at, c.calls)
			if c.apart > 0 {
				require.GreaterOrEqual(t, at[1].Sub(at[0]), c.apart)
			}
		})
	}
}

// TestAnEventThatIsRetriedTellsHowFarItIs looks at events between their attempts as
// `grapnel events show` and the Web UI do.
func TestAnEventThatIsRetriedTellsHowFarItIs(t *testing.T) {
	t.Parallel()
	down := newTarget(t, func(int) int { return http.StatusServiceUnavailable })
	const breaker = "breaker: {failure_ratio: 0}"
	s := up(t, yaml("destinations:",
		strings.Replace(to("first", down.url, "attempts: 4, schedule: [1h]", breaker), "zoom/*", "zoom/meeting.first", 1)+
			strings.Replace(to("second", down.url, "attempts: 4, schedule: [100ms, 1h]", breaker), "zoom/*", "zoom/meeting.second", 1)+
			strings.Replace(to("shut", down.url, "attempts: 4, schedule: [1h]", "breaker: {min_calls: 1, open: 1h}"), "zoom/*", "zoom/meeting.shut*", 1)), nil)
	log := eventlog.New(s.client, s.Namespace, nil)
	route := func(id string, ok func(eventlog.RouteState) bool) (r eventlog.RouteState) {
		until(t, "the event waits", func() bool {
			story, err := log.Show(t.Context(), id)
			if err != nil || len(story.Routes) != 1 {
				return false
			}
			r = story.Routes[0]
			return ok(r)
		})
		require.Equal(t, 4, r.Attempts)
		require.Equal(t, "waiting", r.State)
		require.Greater(t, time.Until(r.Next), 30*time.Minute)
		return r
	}
	after := func(n int) func(eventlog.RouteState) bool {
		return func(r eventlog.RouteState) bool { return r.Attempt == n && r.State == "waiting" && !r.Next.IsZero() }
	}
	first := s.send(t, zoomOf(t.Name(), "meeting.first")).EventID
	second := s.send(t, zoomOf(t.Name(), "meeting.second")).EventID
	opens := s.send(t, zoomOf(t.Name(), "meeting.shut")).EventID
	r := route(first, after(1))
	require.Contains(t, r.Failure, "answered 503")
	require.Contains(t, r.Why, "first goes on at ")
	r = route(second, after(2))
	require.Contains(t, r.Failure, "answered 503")
	require.Equal(t, "the delay after a failed attempt", r.Why)
	route(opens, after(1))

	waits := s.send(t, zoomOf(t.Name(), "meeting.shut.too")).EventID
	r = route(waits, after(0))
	require.Contains(t, r.Why, "destination shut: waits until ")
	require.Contains(t, r.Why, "circuit open: destination shut: POST "+down.url+" was answered 503")
	for _, id := range []string{first, waits} {
		summary := ""
		for _, e := range s.history(t, id, "") {
			if e.GetEventType() == enums.EVENT_TYPE_TIMER_STARTED {
				summary = string(e.GetUserMetadata().GetSummary().GetData())
			}
		}
		require.Regexp(t, `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`, summary, "the Web UI's timer says until when")
		require.Contains(t, summary, "answered 503")
	}
	calls := len(down.deliveries())
	require.Equal(t, 4, calls, "none while the circuit is open")
}

// TestAnEventIsGivenUpWhoseDestinationStaysAway holds for a destination that is down for
// good: its events don't wait for ever.
func TestAnEventIsGivenUpWhoseDestinationStaysAway(t *testing.T) {
	t.Parallel()
	mended := make(chan struct{})
	down := newTarget(t, func(int) int {
		select {
		case <-mended:
			return http.StatusOK
		default:
			return http.StatusServiceUnavailable
		}
	})
	s := up(t, yaml("destinations:", to("crm", down.url, "attempts: 3, schedule: [1h]",
		"breaker: {min_calls: 1, open: 200ms, max_open: 400ms, give_up_after: 1s}")), nil)
	opens := s.send(t, zoomOf(t.Name(), "meeting.opens")).EventID
	until(t, "the circuit is open", func() bool { return len(down.deliveries()) > 0 })
	id := s.send(t, zoomOf(t.Name(), "meeting.waits")).EventID
	text := s.dead(t, id)
	require.Contains(t, text, "destination crm: given up, it was away for more than 1s: ")
	require.NotContains(t, text, "attempts:", "none was used up")
	l, err := deadletter.New(s.client, s.Namespace, s.queue).Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "given up: the circuit stayed open", l.Letter.Failures[0].Cause)
	require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, s.latest(t, opens).GetStatus(), "one that made an attempt has the others left")
	close(mended)
	require.NoError(t, s.reset(t, id, l.Run, t.Name()))
	s.handled(t, id)
}

// TestFiveRoutesOfWhichTwoFailReplayTwo counts who is called again.
func TestFiveRoutesOfWhichTwoFailReplayTwo(t *testing.T) {
	t.Parallel()
	var targets []*target
	src := []string{"destinations:"}
	for i := range 5 {
		targets = append(targets, newTarget(t, func(n int) int {
			if i%2 == 1 && n == 1 {
				return http.StatusBadRequest
			}
			return http.StatusOK
		}))
		src = append(src, to(fmt.Sprint("d", i), targets[i].url, "attempts: 3"))
	}
	s := up(t, yaml(src...), nil)
	id := s.send(t, zoom(t, "meeting.started")).EventID
	s.dead(t, id)
	l, err := deadletter.New(s.client, s.Namespace, s.queue).Get(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, l.Letter.Failures, 2)
	require.ElementsMatch(t, []string{"d0", "d2", "d4"}, l.Letter.Done)
	require.NoError(t, s.reset(t, id, l.Run, t.Name()))
	s.handled(t, id)
	for i, g := range targets {
		require.Len(t, g.deliveries(), 1+i%2, "d%d", i)
	}
}
