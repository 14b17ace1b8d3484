package e2e_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// outageSize is what the tests of destinations that are away work with: GRAPNEL_EVENTS says
// how many events go to each, and with it the destination is down for GRAPNEL_DOWN and
// has the breaker that everybody has.
type outageSize struct {
	events int
	down   time.Duration
	full   bool
}

func outageInTest(t *testing.T) outageSize {
	t.Helper()
	size := outageSize{events: 30, down: 4 * time.Second}
	n, err := strconv.Atoi(os.Getenv("GRAPNEL_EVENTS"))
	if err != nil {
		return size
	}
	size = outageSize{events: n, down: 2 * time.Minute, full: true}
	if d, err := time.ParseDuration(os.Getenv("GRAPNEL_DOWN")); err == nil {
		size.down = d
	}
	return size
}

// arrivals is a destination that notes what it took, when and at which attempt.
type arrivals struct {
	url string
	// answer says what a call is answered with; it may block.
	answer func(r *http.Request) int

	mu      sync.Mutex
	calls   []time.Time
	taken   map[string]time.Time // by event
	attempt map[string]int
	busy    int
	most    int // calls in hand at once
}

func newArrivals(t *testing.T, answer func(r *http.Request) int) *arrivals {
	t.Helper()
	a := &arrivals{answer: answer, taken: map[string]time.Time{}, attempt: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		id, _, _ := strings.Cut(r.Header.Get("Webhook-Id"), ":")
		attempt, _ := strconv.Atoi(r.Header.Get("Grapnel-Attempt"))
		a.mu.Lock()
		a.calls = append(a.calls, time.Now())
		a.busy++
		a.most = max(a.most, a.busy)
		a.mu.Unlock()
		status := a.answer(r)
		a.mu.Lock()
		a.busy--
		if _, again := a.taken[id]; status == http.StatusOK && !again {
			a.taken[id], a.attempt[id] = time.Now(), attempt
		}
		a.mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *arrivals) count() (calls, taken int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls), len(a.taken)
}

// perSecond counts by second from a moment on.
func perSecond(at []time.Time, from time.Time) []int {
	var n []int
	for _, one := range at {
		i := int(one.Sub(from) / time.Second)
		for len(n) <= i {
			n = append(n, 0)
		}
		n[i]++
	}
	return n
}

func (a *arrivals) times() (at []time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.taken {
		at = append(at, one)
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// sendMany sends events of a type, eight at once, and tells when each was sent.
func sendMany(t *testing.T, s *system, typ string, n int, each time.Duration) map[string]time.Time {
	t.Helper()
	sent := map[string]time.Time{}
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			began := time.Now()
			id := s.send(t, zoomOf(fmt.Sprint(t.Name(), i), typ)).EventID
			mu.Lock()
			sent[id] = began
			mu.Unlock()
			<-slots
		})
		time.Sleep(time.Duration(rand.ExpFloat64() * float64(each)))
	}
	all.Wait()
	return sent
}

// TestADestinationThatIsDownIsLeftAloneAndGetsEverythingAfterwards prints what a
// destination that is down is called, and how its events come when it is back.
func TestADestinationThatIsDownIsLeftAloneAndGetsEverythingAfterwards(t *testing.T) {
	t.Parallel()
	size := outageInTest(t)
	var back atomic.Bool
	a := newArrivals(t, func(*http.Request) int {
		if back.Load() {
			return http.StatusOK
		}
		return http.StatusServiceUnavailable
	})
	breaker := "breaker: {min_calls: 5, window: 10s, open: 500ms, max_open: 1s}"
	const minCalls, concurrency, probes = 10, 50, 3
	if size.full {
		breaker = "breaker: {}"
	}
	src := "  crm: {events: [zoom/*], allow_private: [127.0.0.1], http: {url: \"" + a.url + "\"}, " + breaker + "}"
	s := upOn(t, ownServer(t), yaml("destinations:", src), nil)
	began := time.Now()
	sent := sendMany(t, s, "meeting.started", size.events, 0)
	accepted := time.Since(began)
	time.Sleep(time.Until(began.Add(size.down)))
	a.mu.Lock()
	down := len(a.calls)
	calls := perSecond(a.calls, began)
	a.mu.Unlock()
	back.Store(true)
	since := time.Now()
	require.Eventually(t, func() bool { _, n := a.count(); return n == size.events }, 30*time.Minute, 50*time.Millisecond)
	at := a.times()
	used, events := 0, 0
	for id := range sent {
		if n := a.attempt[id] - 1; n > 0 {
			used, events = used+n, events+1
		}
	}
	rates := perSecond(at, at[0])
	took := at[len(at)-1].Sub(at[0])
	t.Logf("%d events accepted in %s, the destination down for %s", size.events, accepted.Round(time.Millisecond), size.down)
	t.Logf("while it was down: %d calls, by second %v", down, calls)
	t.Logf("attempts used: %d, by %d events", used, events)
	t.Logf("back: the first arrived after %s, half after %s, all after %s",
		at[0].Sub(since).Round(time.Millisecond), at[len(at)/2].Sub(since).Round(time.Millisecond), at[len(at)-1].Sub(since).Round(time.Millisecond))
	t.Logf("mean %.1f a second, most in a second %d, by second %v", float64(len(at))/max(took.Seconds(), 1), slices.Max(rates), rates)
	opened := minCalls + concurrency // Those under way when it opened count as well.
	require.LessOrEqual(t, used, opened, "none but those that opened the circuit")
	require.LessOrEqual(t, down, opened+probes*int(size.down/(500*time.Millisecond)+1), "a destination that is down is left alone")
}

// TestADestinationThatHangsSlowsNobodyElse prints how long events of a good destination
// take: alone, beside one that takes as many events and works, and beside one that hangs
// for its whole time-out. The second is what twice the events cost by themselves.
func TestADestinationThatHangsSlowsNobodyElse(t *testing.T) {
	t.Parallel()
	size := outageInTest(t)
	good := newArrivals(t, func(*http.Request) int { return http.StatusOK })
	works := newArrivals(t, func(*http.Request) int { return http.StatusOK })
	free := make(chan struct{})
	bad := newArrivals(t, func(r *http.Request) int {
		select {
		case <-free:
			return http.StatusOK
		case <-r.Context().Done():
			return http.StatusServiceUnavailable
		}
	})
	src := "  good: {events: [zoom/meeting.good, zoom/meeting.alone, zoom/meeting.beside], allow_private: [127.0.0.1], http: {url: \"" + good.url + "\"}}\n" +
		"  works: {events: [zoom/meeting.works], allow_private: [127.0.0.1], http: {url: \"" + works.url + "\"}}\n" +
		"  hangs: {events: [zoom/meeting.bad], allow_private: [127.0.0.1], http: {url: \"" + bad.url + "\"}, limit: {concurrency: 10}}"
	s := upOn(t, ownServer(t), yaml("destinations:", src), nil)
	latency := func(sent map[string]time.Time) (all []time.Duration) {
		until(t, "the good destination has all", func() bool {
			good.mu.Lock()
			defer good.mu.Unlock()
			for id := range sent {
				if _, there := good.taken[id]; !there {
					return false
				}
			}
			return true
		})
		for id, at := range sent {
			all = append(all, good.taken[id].Sub(at))
		}
		slices.Sort(all)
		return all
	}
	const pace = 50 * time.Millisecond
	alone := latency(sendMany(t, s, "meeting.alone", size.events, pace))
	besideOf := func(other, typ string) []time.Duration {
		var both sync.WaitGroup
		both.Go(func() { sendMany(t, s, other, size.events, pace) })
		all := latency(sendMany(t, s, typ, size.events, pace))
		both.Wait()
		return all
	}
	control := besideOf("meeting.works", "meeting.beside")
	beside := besideOf("meeting.bad", "meeting.good")
	_, early := bad.count()
	require.Zero(t, early, "all good ones were there while not one of the others was")
	calls, _ := bad.count()
	p := func(all []time.Duration, part float64) time.Duration {
		return all[min(int(float64(len(all))*part), len(all)-1)].Round(time.Millisecond / 10)
	}
	t.Logf("%d and %d events, %.0f a second each; the one that hangs was called %d times, %d at once at the most", size.events, size.events,
		float64(time.Second/pace), calls, bad.most)
	t.Logf("good ones alone: p50 %s, p99 %s; beside one that works: p50 %s, p99 %s; beside the one that hangs: p50 %s, p99 %s",
		p(alone, 0.5), p(alone, 0.99), p(control, 0.5), p(control, 0.99), p(beside, 0.5), p(beside, 0.99))
	require.LessOrEqual(t, bad.most, 10, "no more than its concurrency")
	close(free)
}
