package destination_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/secret"
)

// heard keeps what an observer is told.
type heard struct {
	mu      sync.Mutex
	changes []string
	waits   map[string]int
}

func (h *heard) Changed(c destination.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes = append(h.changes, c.From+">"+c.To)
}

func (h *heard) Deferred(d *destination.Deferred) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits == nil {
		h.waits = map[string]int{}
	}
	h.waits[d.Why]++
}

// piped is a destination whose other side is a function, over connections that a
// fake clock knows of.
type piped struct {
	*destination.Set
	destinations []*destination.Destination
	calls        atomic.Int64
	answer       func(http.ResponseWriter, *http.Request)
}

func specOf(breaker destination.Breaker, limit destination.Limit) *destination.Spec {
	return &destination.Spec{
		Name: "crm", Events: []string{"*"}, AllowPrivate: []string{"127.0.0.0/8"}, Breaker: breaker, Limit: limit,
		HTTP: &destination.HTTP{URL: secret.New("http://crm.test/hooks"), Timeout: 5 * time.Second},
	}
}

// breakerOf opens after four failures and is open for ten seconds.
func breakerOf() destination.Breaker {
	return destination.Breaker{
		FailureRatio: 0.5, MinCalls: 4, Window: 30 * time.Second, Open: 10 * time.Second, MaxOpen: time.Minute, Probes: 1,
	}
}

func pipe(t *testing.T, spec *destination.Spec, d destination.Deps) *piped {
	t.Helper()
	p := &piped{}
	l := newPipeListener()
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.calls.Add(1)
		p.answer(w, r)
	})}
	go func() { _ = srv.Serve(l) }()
	d.Dial = l.dial
	p.Set = destination.NewSet(d)
	p.use(t, spec)
	t.Cleanup(func() {
		p.Replace(nil)
		_ = srv.Close()
	})
	return p
}

// use puts another description into force.
func (p *piped) use(t *testing.T, spec *destination.Spec) {
	t.Helper()
	ds, err := p.Open(map[string]*destination.Spec{spec.Name: spec})
	require.NoError(t, err)
	p.Replace(ds)
	p.destinations = ds
}

func (p *piped) deliver(slot time.Time) error {
	return p.destinations[0].Deliver(context.Background(), destination.Delivery{Event: sample, Body: []byte("{}"), Attempt: 1, Slot: slot})
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// waits is the deferral that err is.
func waits(t *testing.T, err error) *destination.Deferred {
	t.Helper()
	var d *destination.Deferred
	require.ErrorAs(t, err, &d)
	return d
}

func TestACircuitOpensIsTriedAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &heard{}
		p := pipe(t, specOf(breakerOf(), destination.Limit{}), destination.Deps{Observer: o})
		p.answer = status(http.StatusServiceUnavailable)
		for range 4 {
			var e *destination.Error
			require.ErrorAs(t, p.deliver(time.Time{}), &e, "attempts that open the circuit count")
		}
		require.Equal(t, []string{"closed>open"}, o.changes)
		opened := time.Now()

		first, second := waits(t, p.deliver(time.Time{})), waits(t, p.deliver(time.Time{}))
		require.Equal(t, opened.Add(10*time.Second), first.Until, "the first one tries it out")
		require.Equal(t, 11*time.Second, second.Until.Sub(opened), "the others follow after it")
		require.Contains(t, first.Error(), "circuit open: destination crm: POST http://crm.test/hooks was answered 503")
		require.EqualValues(t, 4, p.calls.Load())

		// A reload keeps the state, also with another URL.
		other := specOf(breakerOf(), destination.Limit{})
		other.HTTP.URL = secret.New("http://crm.test/other")
		p.use(t, other)
		waits(t, p.deliver(time.Time{}))
		require.Equal(t, "open", p.States()[0].Circuit)

		time.Sleep(10*time.Second + time.Millisecond)
		tried := waits(t, p.deliver(time.Time{}))
		require.EqualValues(t, 5, p.calls.Load())
		require.Contains(t, tried.Reason, "tried out", "a probe that fails uses up no attempt")
		require.GreaterOrEqual(t, time.Until(tried.Until), 11*time.Second, "the others come first")
		next := waits(t, p.deliver(time.Time{}))
		require.Less(t, next.Until, tried.Until, "another event tries it next")

		time.Sleep(21 * time.Second)
		p.answer = status(http.StatusNoContent)
		require.NoError(t, p.deliver(time.Time{}))
		require.Equal(t, "closed", p.States()[0].Circuit)
		require.Equal(t, []string{"closed>open", "open>half-open", "half-open>open", "open>half-open", "half-open>closed"}, o.changes)
		require.NoError(t, p.deliver(time.Time{}))
	})
}

func TestACircuitIsOpenForAQuarterOfTheOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipe(t, specOf(breakerOf(), destination.Limit{}), destination.Deps{})
		p.answer = status(http.StatusServiceUnavailable)
		for range 4 {
			require.Error(t, p.deliver(time.Time{}))
		}
		began, last := time.Now(), 10*time.Second
		for time.Since(began) < 10*time.Minute {
			time.Sleep(time.Until(p.States()[0].Until) + time.Millisecond)
			away := time.Since(began)
			waits(t, p.deliver(time.Time{}))
			open := time.Until(p.States()[0].Until)
			require.Equal(t, min(max(10*time.Second, away/4), time.Minute), open)
			require.GreaterOrEqual(t, open, last)
			last = open
		}
		require.Equal(t, time.Minute, last)
		require.Less(t, p.calls.Load(), int64(30), "in ten minutes")
	})
}

func TestAnEventIsGivenUpThatHasWaitedTooLongForACircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breakerOf()
		b.GiveUpAfter = time.Hour
		paused := false
		p := pipe(t, specOf(b, destination.Limit{}), destination.Deps{Paused: func(string) (time.Time, string, bool) {
			return time.Now().Add(time.Minute), "paused", paused
		}})
		p.answer = status(http.StatusServiceUnavailable)
		waited := func(d time.Duration) error {
			return p.destinations[0].Deliver(t.Context(), destination.Delivery{Event: sample, Attempt: 1, Shut: time.Now().Add(-d)})
		}
		for range 4 {
			var e *destination.Error
			require.ErrorAs(t, waited(24*time.Hour), &e, "while the circuit is closed an attempt is made")
		}
		waits(t, p.deliver(time.Time{}))
		waits(t, waited(59*time.Minute))
		var given *destination.GivenUpError
		require.ErrorAs(t, waited(time.Hour), &given)
		require.Contains(t, given.Error(), "destination crm: given up, it was away for more than 1h0m0s: circuit open")
		require.EqualValues(t, 4, p.calls.Load())
		paused = true
		waits(t, waited(time.Hour))
	})
}

func TestAnswersThatRefuseAnEventDoNotOpenTheCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipe(t, specOf(breakerOf(), destination.Limit{}), destination.Deps{})
		p.answer = status(http.StatusBadRequest)
		for range 20 {
			var e *destination.Error
			require.ErrorAs(t, p.deliver(time.Time{}), &e)
			require.True(t, e.Permanent)
		}
		require.Equal(t, "closed", p.States()[0].Circuit)
	})
}

func TestEventsThatWaitForACircuitAreSpreadOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipe(t, specOf(breakerOf(), destination.Limit{}), destination.Deps{})
		p.answer = status(http.StatusInternalServerError)
		for range 4 {
			require.Error(t, p.deliver(time.Time{}))
		}
		waits(t, p.deliver(time.Time{}))
		seen := map[time.Time]bool{}
		for range 1000 {
			seen[waits(t, p.deliver(time.Time{})).Until] = true
		}
		require.Len(t, seen, 1000, "no two at once")
	})
}

func TestARateGivesEveryEventItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipe(t, specOf(destination.Breaker{}, destination.Limit{Rate: 5}), destination.Deps{})
		p.answer = status(http.StatusOK)
		began := time.Now()
		require.NoError(t, p.deliver(time.Time{}))
		var slots []time.Time
		for i := range 10 {
			d := waits(t, p.deliver(time.Time{}))
			require.Equal(t, time.Duration(i+1)*200*time.Millisecond, d.Until.Sub(began))
			require.True(t, d.Slot)
			slots = append(slots, d.Until)
		}
		for _, at := range slots {
			time.Sleep(time.Until(at))
			require.NoError(t, p.deliver(at), "the place was kept")
		}
		time.Sleep(time.Minute)
		waits(t, func() error { _ = p.deliver(slots[0]); return p.deliver(slots[0]) }())
	})
}

func TestAHangingDestinationHoldsNoMoreThanItsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipe(t, specOf(destination.Breaker{}, destination.Limit{Concurrency: 3}), destination.Deps{})
		p.answer = func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Second) }
		ended := make(chan error, 3)
		for range 3 {
			go func() { ended <- p.deliver(time.Time{}) }()
		}
		time.Sleep(time.Second)
		require.Equal(t, 3, p.States()[0].Busy)
		began, last := time.Now(), time.Time{}
		for range 6 {
			d := waits(t, p.deliver(time.Time{}))
			require.Equal(t, destination.WhyConcurrency, d.Why)
			require.Greater(t, d.Until, last)
			last = d.Until
		}
		require.Greater(t, last.Sub(began), 1900*time.Millisecond, "as many come back as there will be room for")
		for range 3 {
			var e *destination.Error
			require.ErrorAs(t, <-ended, &e)
			require.True(t, e.Timeout)
		}
		require.Zero(t, p.States()[0].Busy)
		time.Sleep(20 * time.Second)
	})
}

func TestAPausedDestinationIsNotCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until, paused := time.Now().Add(time.Minute), true
		p := pipe(t, specOf(breakerOf(), destination.Limit{}), destination.Deps{Paused: func(name string) (time.Time, string, bool) {
			return until, "destination " + name + " is paused by ann", paused
		}})
		p.answer = status(http.StatusOK)
		d := waits(t, p.deliver(time.Time{}))
		require.Equal(t, until, d.Until)
		require.Equal(t, destination.WhyPaused, d.Why)
		require.Zero(t, p.calls.Load())
		paused = false
		require.NoError(t, p.deliver(time.Time{}))
	})
}

func TestLimitsCountOverAllWorkersWhereThereIsARateStore(t *testing.T) {
	server := miniredis.RunT(t)
	hold := make(chan struct{})
	srv, _ := answer(t, func(http.ResponseWriter, *http.Request) { <-hold })
	worker := func(l destination.Limit) *destination.Destination {
		shared, err := destination.OpenShared("redis://" + server.Addr())
		require.NoError(t, err)
		d, err := destination.New(&destination.Spec{
			Name: "crm", AllowPrivate: []string{"127.0.0.1"}, Limit: l, HTTP: &destination.HTTP{URL: secret.New(srv.URL)},
		}, destination.Deps{Shared: shared})
		require.NoError(t, err)
		t.Cleanup(d.Close)
		return d
	}
	one := destination.Delivery{Event: sample, Attempt: 1}
	t.Run("concurrency", func(t *testing.T) {
		a, b := worker(destination.Limit{Concurrency: 1}), worker(destination.Limit{Concurrency: 1})
		ended := make(chan error, 1)
		go func() { ended <- a.Deliver(context.Background(), one) }()
		require.Eventually(t, func() bool { return a.State().Busy == 1 }, 5*time.Second, time.Millisecond)
		require.Eventually(t, func() bool {
			var d *destination.Deferred
			return errors.As(b.Deliver(t.Context(), one), &d) && d.Why == destination.WhyConcurrency
		}, 5*time.Second, time.Millisecond)
		close(hold)
		require.NoError(t, <-ended)
		require.NoError(t, b.Deliver(t.Context(), one))
	})
	t.Run("rate, and each for itself while it is away", func(t *testing.T) {
		a, b := worker(destination.Limit{Rate: 0.1}), worker(destination.Limit{Rate: 0.1})
		require.NoError(t, a.Deliver(t.Context(), one))
		require.Equal(t, destination.WhyRate, waits(t, b.Deliver(t.Context(), one)).Why)
		server.Close()
		require.NoError(t, b.Deliver(t.Context(), one))
	})
}

// pipeListener connects without a network.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.IPAddr{} }
