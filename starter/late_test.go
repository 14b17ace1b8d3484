package starter_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/internal/spool"
)

// slowStarts makes every start wait until release is called, and fail as the
// end of its context or the given error says.
func slowStarts(engine *fakeTemporal, err error) (release func()) {
	free := make(chan struct{})
	engine.onStart = func(ctx context.Context, _ int, _ client.StartWorkflowOptions) error {
		select {
		case <-free:
			return err
		case <-ctx.Done():
			return ctx.Err() //nolint:wrapcheck // As the SDK gives it.
		}
	}
	return func() { close(free) }
}

func TestAStartThatOutlivesTheBudget(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		starts int
	}{
		"and succeeds is not given up, and the drain starts nothing": {nil, 1},
		"and fails is left to the drain":                             {serviceerror.NewUnavailable("away"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			disk, with := withSpool(t, spool.Options{})
			w, engine := openFake(t, yaml("ack: {budget: 50ms}\n", doorSources...), with)
			release := slowStarts(engine, test.err)
			require.True(t, w.zoom(t, meeting("1")).taken(t).Queued)
			require.Equal(t, 1, disk.Stats().Depth)
			engine.set(nil)
			release()
			drain(t, w, func() bool { return disk.Stats().Depth == 0 })
			starts, _, _ := engine.calls()
			require.Equal(t, test.starts, starts)
		})
	}
}

func TestAStartThatIsSlowIsKeptOnDiskToo(t *testing.T) {
	disk, with := withSpool(t, spool.Options{})
	w, engine := openFake(t, yaml("", doorSources...), with)
	release := slowStarts(engine, nil)
	require.True(t, w.zoom(t, meeting("1")).taken(t).Queued, "the sender does not wait for the budget")
	require.Equal(t, 1, disk.Stats().Depth)
	engine.set(nil)
	release()
	drain(t, w, func() bool { return disk.Stats().Depth == 0 })
	starts, _, _ := engine.calls()
	require.Equal(t, 1, starts, "both took it, and it is started once")
}

func TestAStartThatIsSlowHasTheBudgetWhenTheDiskFails(t *testing.T) {
	disk, with := withSpool(t, spool.Options{})
	w, engine := openFake(t, yaml("", doorSources...), with)
	release := slowStarts(engine, nil)
	require.NoError(t, disk.Close())
	time.AfterFunc(200*time.Millisecond, release) // Before or after the disk: both are right.
	require.Equal(t, http.StatusOK, w.zoom(t, meeting("1")).status)
}

func TestTheDrainWaitsForAStartThatIsUnderWay(t *testing.T) {
	disk, with := withSpool(t, spool.Options{})
	w, engine := openFake(t, yaml("ack: {budget: 50ms}\n", doorSources...), with)
	release := slowStarts(engine, nil)
	require.True(t, w.zoom(t, meeting("1")).taken(t).Queued)
	leased := false
	drain(t, w, func() bool {
		if !leased && disk.Stats().Leased > 0 {
			leased = true
			release()
		}
		return disk.Stats().Depth == 0
	})
	require.True(t, leased)
	starts, describes, _ := engine.calls()
	require.Equal(t, []int{1, 1}, []int{starts, describes}, "it is looked up, not started again")
}

func TestNobodyWaitsBehindAStartThatIsLate(t *testing.T) {
	_, with := withSpool(t, spool.Options{})
	w, engine := openFake(t, yaml("ack: {budget: 50ms}\n", doorSources...), with)
	slowStarts(engine, nil)
	require.True(t, w.zoom(t, meeting("1")).taken(t).Queued)
	for _, n := range []string{"1", "2", "3"} {
		require.True(t, w.zoom(t, meeting(n)).taken(t).Queued)
	}
	starts, _, _ := engine.calls()
	require.Equal(t, 1, starts, "the others went straight to the disk")
}

func TestALateStartEndsWithTheReceiver(t *testing.T) {
	_, with := withSpool(t, spool.Options{})
	w, engine := openFake(t, yaml("ack: {budget: 50ms}\n", doorSources...), with)
	ended := make(chan struct{})
	engine.onStart = func(ctx context.Context, _ int, _ client.StartWorkflowOptions) error {
		defer close(ended)
		<-ctx.Done()
		return ctx.Err() //nolint:wrapcheck // As the SDK gives it.
	}
	require.Equal(t, http.StatusOK, w.zoom(t, meeting("1")).status)
	require.NoError(t, w.Shutdown(t.Context()))
	<-ended
}

func TestTheLogSaysWhenTheEngineIsLostAndFound(t *testing.T) {
	disk, with := withSpool(t, spool.Options{})
	w, engine := openFake(t, yaml("", doorSources...), with)
	engine.onStart = always(serviceerror.NewUnavailable("connection refused"))
	for _, n := range []string{"1", "2", "3"} {
		require.True(t, w.zoom(t, meeting(n)).taken(t).Queued)
	}
	lost := w.logs.FilterMessageSnippet("Temporal takes no events now").All()
	require.Len(t, lost, 1)
	require.Contains(t, lost[0].ContextMap()["error"], "connection refused")
	engine.set(nil)
	drain(t, w, func() bool { return disk.Stats().Depth == 0 })
	require.Equal(t, 1, w.logs.FilterMessage("Temporal takes events again").Len())
}
