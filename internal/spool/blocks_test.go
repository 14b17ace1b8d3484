package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/grapnel/grapnel/internal/spool"
)

var errRead = errors.New("input/output error")

// badSector is a file whose first bytes cannot be read.
type badSector struct {
	spool.File
	bad *atomic.Int64 // how many
}

func (f badSector) ReadAt(b []byte, off int64) (int, error) {
	if off < f.bad.Load() {
		return 0, errRead
	}
	return f.File.ReadAt(b, off)
}

func TestARecordThatCannotBeReadBlocksNothingAndIsTold(t *testing.T) {
	var bad atomic.Int64
	core, logs := observer.New(zap.ErrorLevel)
	s := open(t, spool.Options{Path: t.TempDir(), Logger: zap.New(core)}.WithDisk(func(path string) (spool.File, error) {
		f, err := spool.CreateFile(path)
		return badSector{f, &bad}, err
	}))
	put(t, s, "a", "b")
	bad.Store(1)
	_, err := s.Next(t.Context(), 1)
	require.ErrorIs(t, err, spool.ErrFailed)
	require.ErrorIs(t, err, errRead)
	require.Equal(t, 1, logs.FilterMessageSnippet("cannot be read").Len())
	require.Equal(t, []string{"b"}, keysOf(next(t, s, 1)))
	bad.Store(0)
	require.Equal(t, []string{"a"}, keysOf(next(t, s, 1)), "it is still there")
}

func TestWhatWasPutBackAndWhatIsNewAreOfferedByTurns(t *testing.T) {
	s := open(t, spool.Options{Path: t.TempDir()})
	put(t, s, "a", "b", "c")
	var offered []string
	for range 6 {
		e := next(t, s, 1)[0]
		offered = append(offered, e.Key)
		s.Retry(e, 0)
	}
	require.Equal(t, []string{"a", "a", "b", "b", "c", "c"}, offered)
}

func TestManyEntriesThatAlwaysFailBlockNothing(t *testing.T) {
	s := open(t, spool.Options{Path: t.TempDir()})
	for i := range 30 {
		put(t, s, fmt.Sprintf("poison %d", i))
	}
	put(t, s, "a", "b", "c", "d")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Drain(ctx, func(_ context.Context, e spool.Entry) spool.Outcome {
			if strings.HasPrefix(e.Key, "poison") {
				return spool.Again()
			}
			return spool.Taken()
		}, quick)
	}()
	require.Eventually(t, func() bool { return s.Stats().Depth == 30 }, 20*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}
