package spool_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/pace"
	"github.com/grapnel/grapnel/internal/spool"
)

// BenchmarkPut measures durable puts by concurrent putters while a drain goes on. Besides ns/op it
// reports puts/s, syncs per put, and the 99th percentile and the maximum of the latency.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{500, 50_000} {
		for _, putters := range []int{1, 8, 64, 256} {
			for _, drained := range []bool{true, false} {
				if !drained && putters != 64 {
					continue
				}
				b.Run(fmt.Sprintf("body=%d/putters=%d/drain=%t", size, putters, drained), func(b *testing.B) {
					benchmarkPut(b, size, putters, drained)
				})
			}
		}
	}
}

func benchmarkPut(b *testing.B, size, putters int, drained bool) {
	s, err := spool.Open(spool.Options{Path: b.TempDir(), MaxBytes: 16 << 30})
	require.NoError(b, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	if drained {
		go func() {
			ended <- s.Drain(ctx, func(context.Context, spool.Entry) spool.EntryOutcome { return spool.Taken() }, pace.Options{})
		}()
	} else {
		ended <- nil
	}
	b.ReportAllocs()
	b.ResetTimer()
	latencies := putAll(b, s, size, putters)
	b.StopTimer()
	slices.Sort(latencies)
	st := s.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	b.ReportMetric(float64(st.Syncs)/float64(b.N), "syncs/put")
	b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(latencies[len(latencies)-1].Microseconds())/1000, "max-ms")
	b.ReportMetric(float64(st.Drained)/float64(b.N), "drained/put")
	stop()
	require.NoError(b, <-ended)
	require.NoError(b, s.Close())
}

func putAll(b *testing.B, s *spool.Spool, size, putters int) []time.Duration {
	b.Helper()
	latencies := make([]time.Duration, b.N)
	var n atomic.Int64
	var wg sync.WaitGroup
	for range putters {
		wg.Go(func() {
			body := make([]byte, size)
			for i := n.Add(1) - 1; i < int64(b.N); i = n.Add(1) - 1 {
				begun := time.Now()
				if err := s.Put(context.Background(), spool.Entry{Key: strconv.FormatInt(i, 10), Body: body}); err != nil {
					b.Error(err)
					return
				}
				latencies[i] = time.Since(begun)
			}
		})
	}
	wg.Wait()
	return latencies
}
