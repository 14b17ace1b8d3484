package spool_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/pace"
	"github.com/grapnel/grapnel/internal/spool"
)

var quick = pace.Options{FirstBackoff: time.Millisecond, LastBackoff: 4 * time.Millisecond, Fast: time.Minute}

// drain runs Drain until the spool is empty or the test's time-out is over.
func drain(t *testing.T, s *spool.Spool, hand func(context.Context, spool.Entry) spool.EntryOutcome, o pace.Options) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Drain(ctx, hand, o) }()
	require.Eventually(t, func() bool { return s.Stats().Depth == 0 }, 30*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func fill(t *testing.T, s *spool.Spool, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _ = s.Put(context.Background(), entry(fmt.Sprintf("k%d", i))) })
	}
	wg.Wait()
	require.Equal(t, n, s.Stats().Depth)
}

func TestDrainHandsEverythingOverOnceAndTakesMoreAtATime(t *testing.T) {
	s := open(t, spool.Options{Path: t.TempDir()})
	fill(t, s, 2000)
	var mu sync.Mutex
	times := map[string]int{}
	var now, most atomic.Int64
	drain(t, s, func(_ context.Context, e spool.Entry) spool.EntryOutcome {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		mu.Lock()
		times[e.Key]++
		mu.Unlock()
		time.Sleep(time.Millisecond) // The time that Temporal takes.
		return spool.Taken()
	}, pace.Options{Most: 8, Fast: time.Minute})
	require.Len(t, times, 2000)
	for key, n := range times {
		require.Equal(t, 1, n, key)
	}
	require.Greater(t, most.Load(), int64(4))
	require.LessOrEqual(t, most.Load(), int64(8))
	require.EqualValues(t, 2000, s.Stats().Drained)
	require.Positive(t, s.Stats().DrainRate)
}

func TestDrainProbesOneByOneWhileTheEngineIsAway(t *testing.T) {
	s := open(t, spool.Options{Path: t.TempDir()})
	fill(t, s, 50)
	var calls, now atomic.Int64
	var crowd atomic.Bool
	drain(t, s, func(context.Context, spool.Entry) spool.EntryOutcome {
		n := now.Add(1)
		defer now.Add(-1)
		if calls.Add(1) <= 40 {
			if n > 1 {
				crowd.Store(true)
			}
			return spool.Again()
		}
		return spool.Taken()
	}, quick)
	require.False(t, crowd.Load())
}

func TestAnEntryThatAlwaysFailsBlocksNothing(t *testing.T) {
	s := open(t, spool.Options{Path: t.TempDir()})
	put(t, s, "poison")
	put(t, s, "a", "b", "c", "d")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Drain(ctx, func(_ context.Context, e spool.Entry) spool.EntryOutcome {
			if e.Key == "poison" {
				return spool.Again()
			}
			return spool.Taken()
		}, quick)
	}()
	require.Eventually(t, func() bool { return s.Stats().Depth == 1 }, 30*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	require.Equal(t, []string{"poison"}, keysOf(next(t, s, 10)))
}

func TestDrainSetsAsideWhatIsRefused(t *testing.T) {
	s := open(t, spool.Options{Path: t.TempDir()})
	put(t, s, "a", "bad", "b")
	drain(t, s, func(_ context.Context, e spool.Entry) spool.EntryOutcome {
		if e.Key == "bad" {
			return spool.Refuse("invalid")
		}
		return spool.Taken()
	}, quick)
	listed, err := s.List(10)
	require.NoError(t, err)
	require.Len(t, listed, 1)
	require.Equal(t, "invalid", listed[0].Reason)
}

func TestDrainStopsWithNothingLost(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Path: dir})
	fill(t, s, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var taken atomic.Int64
	err := s.Drain(ctx, func(ctx context.Context, _ spool.Entry) spool.EntryOutcome {
		if taken.Add(1) > 30 {
			taken.Add(-1)
			cancel()
			<-ctx.Done()
			return spool.Again()
		}
		return spool.Taken()
	}, quick)
	require.NoError(t, err)
	require.Zero(t, s.Stats().Leased)
	require.EqualValues(t, 100-taken.Load(), s.Stats().Depth)
	require.NoError(t, s.Close())
	s = open(t, spool.Options{Path: dir})
	require.EqualValues(t, 100-taken.Load(), s.Stats().Depth)
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Drain(t.Context(), nil, quick), spool.ErrClosed)
}

func TestSeveralDrainsShareTheQueue(t *testing.T) {
	s := open(t, spool.Options{Path: t.TempDir()})
	fill(t, s, 500)
	var mu sync.Mutex
	times := map[string]int{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_ = s.Drain(ctx, func(_ context.Context, e spool.Entry) spool.EntryOutcome {
				mu.Lock()
				defer mu.Unlock()
				times[e.Key]++
				return spool.Taken()
			}, quick)
		})
	}
	require.Eventually(t, func() bool { return s.Stats().Depth == 0 }, 30*time.Second, time.Millisecond)
	cancel()
	wg.Wait()
	require.Len(t, times, 500)
	for key, n := range times {
		require.Equal(t, 1, n, key)
	}
}
