package spool_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/spool"
)

// hanging is a file whose sync waits until it is let go.
type hanging struct {
	spool.File
	free <-chan struct{}
}

func (f hanging) Sync() error {
	<-f.free
	return f.File.Sync()
}

func TestADiskThatHangsDoesNotFillTheMemory(t *testing.T) {
	free := make(chan struct{})
	s := open(t, spool.Options{Path: t.TempDir()}.WithDisk(func(path string) (spool.File, error) {
		f, err := spool.CreateFile(path)
		return hanging{f, free}, err
	}))
	release := sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	body := make([]byte, 60<<20)
	var err error
	for i := 0; err == nil; i++ {
		require.Less(t, i, 8)
		err = s.Offer(spool.Entry{Key: fmt.Sprint(i), Body: body})
	}
	require.ErrorIs(t, err, spool.ErrFull)
	require.ErrorContains(t, err, "does not keep up")
	release()
	require.Eventually(t, func() bool { return s.Stats().Depth == 4 }, 20*time.Second, 5*time.Millisecond)
	put(t, s, "after")
}

func TestASpoolThatIsFullSaysSo(t *testing.T) {
	s := open(t, spool.Options{Path: t.TempDir(), MaxBytes: 16 << 10})
	require.False(t, s.Stats().Full)
	require.NoError(t, s.Put(t.Context(), spool.Entry{Key: "big", Body: make([]byte, 15<<10)}))
	require.True(t, s.Stats().Full)
	require.Contains(t, s.Stats().Cause, "spool.max_bytes")
	s.Done(next(t, s, 1)[0])
	require.False(t, s.Stats().Full)
}

func TestStatsAreReadByPrograms(t *testing.T) {
	b, err := json.Marshal(spool.Stats{Depth: 2, OldestAge: spool.Seconds(1500 * time.Millisecond)})
	require.NoError(t, err)
	require.Contains(t, string(b), `"depth":2`)
	require.Contains(t, string(b), `"oldestAgeSeconds":1.500`)
}
