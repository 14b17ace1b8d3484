package spool_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/spool"
)

var errSync, errWrite = errors.New("sync failed"), errors.New("write failed")

// disk makes files whose writes and syncs can be made to fail. It knows which bytes were synced.
type disk struct {
	failSync, failWrite atomic.Bool
	mu                  sync.Mutex
	files               map[string]*diskFile
}

type diskFile struct {
	spool.File
	disk   *disk
	size   int64
	synced int64
}

func newDisk() *disk { return &disk{files: map[string]*diskFile{}} }

func (d *disk) create(path string) (spool.File, error) {
	f, err := spool.CreateFile(path)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[path] = &diskFile{File: f, disk: d}
	return d.files[path], nil
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	if f.disk.failWrite.Load() {
		n, _ := f.File.WriteAt(b[:len(b)/2], off)
		return n, errWrite
	}
	f.disk.mu.Lock()
	f.size = max(f.size, off+int64(len(b)))
	f.disk.mu.Unlock()
	return f.File.WriteAt(b, off)
}

func (f *diskFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	f.size, f.synced = size, min(size, f.synced)
	f.disk.mu.Unlock()
	return f.File.Truncate(size)
}

func (f *diskFile) Sync() error {
	if f.disk.failSync.Load() {
		return errSync
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.synced = f.size
	return nil
}

// crash copies the directory as a power cut would leave it: of each segment the synced bytes and a
// part of the others.
func (d *disk) crash(t fataler, from, to string, keep float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for err := os.ErrNotExist; err != nil; {
		if err = os.CopyFS(to, os.DirFS(from)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("copy: %v", err)
		}
		if err != nil { // A segment that was no longer needed went away meanwhile.
			_ = os.RemoveAll(to)
		}
	}
	for path, f := range d.files {
		copied := filepath.Join(to, filepath.Base(path))
		if info, err := os.Stat(copied); err == nil {
			size := f.synced + int64(keep*float64(max(0, info.Size()-f.synced)))
			if err := os.Truncate(copied, size); err != nil {
				t.Fatalf("truncate: %v", err)
			}
		}
	}
}

type fataler interface{ Fatalf(string, ...any) }

func TestADiskThatFailsIsNotBelievedUntilItIsWell(t *testing.T) {
	for name, fault := range map[string]struct {
		flag func(*disk) *atomic.Bool
		err  error
	}{
		"sync fails":  {func(d *disk) *atomic.Bool { return &d.failSync }, errSync},
		"write fails": {func(d *disk) *atomic.Bool { return &d.failWrite }, errWrite},
	} {
		t.Run(name, func(t *testing.T) {
			d, dir := newDisk(), t.TempDir()
			s := open(t, spool.Options{Path: dir}.WithDisk(d.create))
			put(t, s, "before")
			fault.flag(d).Store(true)
			err := s.Put(t.Context(), entry("during"))
			require.ErrorIs(t, err, spool.ErrFailed)
			require.ErrorIs(t, err, fault.err)
			require.ErrorContains(t, err, dir)
			require.True(t, s.Stats().Failed)
			require.Contains(t, s.Stats().Cause, fault.err.Error())
			require.ErrorIs(t, s.Put(t.Context(), entry("during")), spool.ErrFailed)
			put(t, s, "before")
			require.Equal(t, []string{"before"}, keysOf(next(t, s, 10)), "the drain goes on")
			fault.flag(d).Store(false)
			require.Eventually(t, func() bool { return !s.Stats().Failed }, 20*time.Second, 5*time.Millisecond)
			put(t, s, "after")
			require.NoError(t, s.Close())
			s = open(t, spool.Options{Path: dir})
			require.Equal(t, []string{"before", "after"}, keysOf(next(t, s, 10)), "what was refused is not there")
		})
	}
}

func TestDoneSurvivesATimeOfFailure(t *testing.T) {
	d, dir := newDisk(), t.TempDir()
	s := open(t, spool.Options{Path: dir}.WithDisk(d.create))
	put(t, s, "a", "b")
	got := next(t, s, 1)
	d.failWrite.Store(true)
	s.Done(got[0])
	require.Eventually(t, func() bool { return s.Stats().Failed }, 20*time.Second, 5*time.Millisecond)
	d.failWrite.Store(false)
	require.Eventually(t, func() bool { return !s.Stats().Failed }, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, s.Close())
	s = open(t, spool.Options{Path: dir})
	require.Equal(t, []string{"b"}, keysOf(next(t, s, 10)))
}

// hanging is a file whose sync waits until the test releases it.
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
