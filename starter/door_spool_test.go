package starter_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/internal/spool"
)

// troubles are what may be wrong with Temporal.
var troubles = []struct {
	name string
	fail func(context.Context, int, client.StartWorkflowOptions) error
}{
	{"is away", always(serviceerror.NewUnavailable("connection refused"))},
	{"is busy", always(serviceerror.NewResourceExhausted(enums.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT, "too many"))},
	{"answers nothing", hangs},
	{"is out of time", always(serviceerror.NewDeadlineExceeded("too slow"))},
	{"lost its namespace", always(serviceerror.NewNamespaceNotFound("default"))},
	{"lets nobody in", always(serviceerror.NewPermissionDenied("no", ""))},
	{"fails", always(serviceerror.NewInternal("broken"))},
	{"fails in a way of its own", always(errors.New("unheard of"))},
	{"refuses the event for good", always(serviceerror.NewInvalidArgument("never"))},
}

func TestAnEventIsKeptOnDiskWhenTheEngine(t *testing.T) {
	for _, trouble := range troubles {
		t.Run(trouble.name, func(t *testing.T) {
			disk, with := withSpool(t, spool.Options{})
			w, engine := openFake(t, yaml("ack: {budget: 50ms}\n", doorSources...), with)
			engine.onStart = trouble.fail
			r := w.zoom(t, meeting("1"))
			a := r.taken(t)
			require.Equal(t, `{"success":true,"eventId":"`+a.EventID+`","queued":true}`+"\n", r.body)
			require.Equal(t, 1, disk.Stats().Depth)

			w.now.advance(time.Hour)
			require.True(t, w.zoom(t, meeting("1")).taken(t).Queued, "a repeat is kept once")
			require.Equal(t, 1, disk.Stats().Depth)
		})
	}
}

func TestWithoutADiskTheSenderIsToTryAgainWhenTheEngine(t *testing.T) {
	for _, trouble := range troubles {
		t.Run(trouble.name, func(t *testing.T) {
			w, engine := openFake(t, yaml("ack: {budget: 50ms}\n", doorSources...))
			engine.onStart = trouble.fail
			r := w.zoom(t, meeting("1"))
			r.refused(t, http.StatusServiceUnavailable, "Try again later")
			require.Equal(t, "5", r.header.Get("Retry-After"))
			engine.onStart = nil
			w.zoom(t, meeting("1")).taken(t)
		})
	}
}

func TestADiskThatTakesNoMore(t *testing.T) {
	full, with := withSpool(t, spool.Options{MaxBytes: 1})
	w, engine := openFake(t, yaml("", doorSources...), with)
	engine.onStart = always(serviceerror.NewUnavailable("away"))
	r := w.zoom(t, meeting("1"))
	r.refused(t, http.StatusServiceUnavailable, "Try again later")
	require.Equal(t, "5", r.header.Get("Retry-After"))
	require.Zero(t, full.Stats().Depth)

	broken, with := withSpool(t, spool.Options{})
	w, engine = openFake(t, yaml("", doorSources...), with)
	engine.onStart = always(serviceerror.NewUnavailable("away"))
	require.NoError(t, broken.Close())
	w.zoom(t, meeting("1")).refused(t, http.StatusServiceUnavailable, "Try again later")
}

func TestTheDrainStartsWhatWaits(t *testing.T) {
	disk, with := withSpool(t, spool.Options{})
	w, engine := openFake(t, yaml("", doorSources...), with)
	engine.onStart = always(serviceerror.NewUnavailable("away"))
	body := strings.Replace(meeting("1"), "Weekly", "ü <b> 12345678901234567890", 1)
	id := w.zoom(t, body).taken(t).EventID
	engine.onStart = nil
	drain(t, w, func() bool { return disk.Stats().Depth == 0 })
	s := engine.last(t)
	require.Equal(t, id, s.options.ID)
	require.Equal(t, body, string(s.body.GetData()))
	require.Equal(t, "meeting.started", s.event.Type)
	w.now.advance(time.Hour)
	require.True(t, w.zoom(t, body).taken(t).Duplicate)
}

func TestTheDrainSetsAsideWhatIsRefusedForGood(t *testing.T) {
	disk, with := withSpool(t, spool.Options{})
	w, engine := openFake(t, yaml("", doorSources...), with)
	engine.onStart = always(serviceerror.NewInvalidArgument("never"))
	w.zoom(t, meeting("1")).taken(t)
	drain(t, w, func() bool { return disk.Stats().Refused == 1 })
	require.Zero(t, disk.Stats().Depth)
	require.NotZero(t, w.logs.FilterMessage("event set aside: Temporal refuses it for good").Len())
	for _, line := range w.logs.All() {
		require.NotContains(t, line.ContextMap(), "body")
	}
}

func TestALookUpThatFailsCostsNoEvent(t *testing.T) {
	w, engine := openFake(t, yaml("ack: {budget: 50ms}\n", doorSources...))
	w.zoom(t, meeting("1")).taken(t)
	for name, fail := range map[string]func(context.Context, int) error{
		"away":  func(context.Context, int) error { return serviceerror.NewUnavailable("away") },
		"hangs": func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() },
	} {
		engine.onDescribe = fail
		r := w.zoom(t, meeting("1"))
		require.Equal(t, http.StatusServiceUnavailable, r.status, name)
		require.NotEmpty(t, r.header.Get("Retry-After"))
	}
	engine.onDescribe = nil
	engine.dies(t, w.zoom(t, meeting("1")).taken(t).EventID, "run-7")
	engine.onReset = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
	require.Equal(t, http.StatusServiceUnavailable, w.zoom(t, meeting("1")).status, "a reset has the same budget")
}

func TestStartsUnderWayAreBounded(t *testing.T) {
	disk, with := withSpool(t, spool.Options{})
	w, engine := openFake(t, yaml("max_inflight: 1\n", doorSources...), with)
	entered, leave := make(chan struct{}), make(chan struct{})
	engine.onStart = func(context.Context, int, client.StartWorkflowOptions) error {
		entered <- struct{}{}
		<-leave
		return nil
	}
	first := make(chan reply, 1)
	go func() { first <- w.zoom(t, meeting("1")) }()
	<-entered
	require.True(t, w.zoom(t, meeting("2")).taken(t).Queued, "one more goes to the disk")
	starts, _, _ := engine.calls()
	require.Equal(t, 1, starts)
	require.Positive(t, disk.Stats().Depth)
	close(leave)
	(<-first).taken(t) // Kept on disk too, where the machine is slower than the hedge.
}

func TestWhatNoDiskTakesIsStartedUpToTheBound(t *testing.T) {
	_, with := withSpool(t, spool.Options{MaxBytes: 1})
	w, engine := openFake(t, yaml("max_inflight: 6\n", doorSources...), with)
	entered, leave := make(chan struct{}), make(chan struct{})
	engine.onStart = func(context.Context, int, client.StartWorkflowOptions) error {
		entered <- struct{}{}
		<-leave
		return nil
	}
	answers := make(chan reply, 6)
	for n := range 6 { // Four at once are easy for Temporal, as far as is known.
		go func() { answers <- w.zoom(t, meeting(strconv.Itoa(n))) }()
		<-entered
	}
	// A start that takes longer than its sender can wait counts as a sign that Temporal is away;
	// on a machine that is so slow one is refused for that, and as well the seventh.
	w.zoom(t, meeting("6")).refused(t, http.StatusServiceUnavailable, "Try again later")
	starts, _, _ := engine.calls()
	require.Equal(t, 6, starts)
	close(leave)
	for range 6 {
		if r := <-answers; r.status != http.StatusServiceUnavailable {
			require.False(t, r.taken(t).Queued)
		}
	}
}

func TestShutdownFinishesWhatIsInHand(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	entered, leave := make(chan struct{}), make(chan struct{})
	engine.onStart = func(context.Context, int, client.StartWorkflowOptions) error {
		entered <- struct{}{}
		<-leave
		return nil
	}
	var answers sync.WaitGroup
	statuses := make(chan int, 3)
	for _, n := range []string{"1", "2", "3"} {
		answers.Go(func() { statuses <- w.zoom(t, meeting(n)).status })
		<-entered
	}
	down := make(chan error, 1)
	go func() { down <- w.Shutdown(context.Background()) }()
	require.Eventually(t, func() bool { return refusesConnections(w.addr) }, time.Minute, time.Millisecond)
	close(leave)
	answers.Wait()
	for range 3 {
		require.Equal(t, http.StatusOK, <-statuses)
	}
	require.NoError(t, <-down)
}

// refusesConnections tells whether nobody listens any more.
func refusesConnections(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		_ = c.Close()
	}
	return err != nil
}

func TestATraceOutlivesTheSpool(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	disk, with := withSpool(t, spool.Options{})
	w, engine := openFake(t, yaml("", doorSources...), with)
	engine.onStart = always(serviceerror.NewUnavailable("connection refused"))
	body := meeting("1")
	require.True(t, w.post(t, "zoom", body, append(signZoom(body, w.now.time(), goodSecret), "Traceparent", parent)...).taken(t).Queued)
	entries, err := disk.Next(t.Context(), 1)
	require.NoError(t, err)
	require.Contains(t, string(entries[0].Meta), `"traceparent":"`+parent+`"`)
}
