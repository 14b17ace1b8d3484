package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/grapnel/grapnel/internal/spool"
)

// threeEntries makes a spool with one segment of three records of equal size, and closes it.
func threeEntries(t *testing.T) (dir, segment string, size int64) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, spool.Options{Path: dir})
	put(t, s, "a", "b", "c")
	require.NoError(t, s.Close())
	segments := segmentsOf(t, dir)
	require.Len(t, segments, 1)
	info, err := os.Stat(segments[0])
	require.NoError(t, err)
	return dir, segments[0], info.Size()
}

func TestATailCutShortAtAnyByteLosesOnlyTheLastRecord(t *testing.T) {
	dir, segment, size := threeEntries(t)
	for cut := size - 1; cut >= 0; cut-- {
		require.NoError(t, os.Truncate(segment, cut))
		copied := filepath.Join(t.TempDir(), "copy")
		require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
		s := open(t, spool.Options{Path: copied})
		require.EqualValues(t, cut*3/size, s.Stats().Depth)
		require.NoError(t, s.Close())
	}
}

func TestAnyByteFlippedLosesOneRecordAndTheFileIsKept(t *testing.T) {
	dir, segment, size := threeEntries(t)
	b, err := os.ReadFile(segment)
	require.NoError(t, err)
	for at := range size {
		copied := filepath.Join(t.TempDir(), "copy")
		require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
		b[at] ^= 0x40
		require.NoError(t, os.WriteFile(filepath.Join(copied, filepath.Base(segment)), b, 0o600))
		b[at] ^= 0x40
		s := open(t, spool.Options{Path: copied})
		got := next(t, s, 10)
		require.Len(t, got, 2, "byte %d", at)
		inside := at < 2*size/3
		require.Equal(t, inside, s.Stats().DamagedBytes > 0)
		for _, e := range got {
			s.Done(e)
		}
		require.NoError(t, s.Close())
		kept, err := filepath.Glob(filepath.Join(copied, "*.damaged"))
		require.NoError(t, err)
		require.Equal(t, inside, len(kept) == 1)
	}
}

func TestDamageWhileTheSpoolIsOpenSetsTheBytesAside(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Path: dir})
	put(t, s, "a", "b")
	f, err := os.OpenFile(segmentsOf(t, dir)[0], os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{0xff, 0xff}, 40)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, []string{"b"}, keysOf(next(t, s, 2)))
	require.Equal(t, 1, s.Stats().Refused)
	put(t, s, "a")
	require.Equal(t, []string{"a"}, keysOf(next(t, s, 2)), "the sender's repeat heals it")
}

func TestAForeignFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.log"), nil, 0o600))
	_, err := spool.Open(spool.Options{Path: dir})
	require.ErrorContains(t, err, "notes.log is not a segment")
}

func TestSpaceComesBack(t *testing.T) {
	t.Run("segments whose entries are done are deleted", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, spool.Options{Path: dir, MaxBytes: 1 << 20})
		body := make([]byte, 20<<10)
		for i := range 200 {
			require.NoError(t, s.Put(t.Context(), spool.Entry{Key: string(rune(i + 1)), Body: body}))
			s.Done(next(t, s, 1)[0])
		}
		require.Eventually(t, func() bool { return len(segmentsOf(t, dir)) <= 1 }, 20*time.Second, 5*time.Millisecond)
		require.Zero(t, s.Stats().Bytes)
	})
	t.Run("an entry that nobody takes is moved and does not pin them", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, spool.Options{Path: dir, MaxBytes: 1 << 20})
		put(t, s, "stuck")
		s.Retry(next(t, s, 1)[0], time.Hour)
		body := make([]byte, 20<<10)
		for i := range 200 {
			require.NoError(t, s.Put(t.Context(), spool.Entry{Key: string(rune(i + 1)), Body: body}))
			s.Done(next(t, s, 1)[0])
		}
		require.LessOrEqual(t, len(segmentsOf(t, dir)), 8)
		require.NoError(t, s.Close())
		s = open(t, spool.Options{Path: dir})
		require.Equal(t, []string{"stuck"}, keysOf(next(t, s, 10)))
	})
}

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
		ended <- s.Drain(ctx, func(_ context.Context, e spool.Entry) spool.EntryOutcome {
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

// badRange is a file of which a range can't be read.
type badRange struct {
	*bytes.Reader
	from, to int64
}

func (f badRange) ReadAt(b []byte, off int64) (int, error) {
	if off < f.to && off+int64(len(b)) > f.from {
		return 0, errRead
	}
	return f.Reader.ReadAt(b, off)
}

func TestASectorThatCanNotBeReadCostsItsRecordsAlone(t *testing.T) {
	const block, entries = 4 << 10, 20
	dir := t.TempDir()
	s := open(t, spool.Options{Path: dir})
	for i := range entries {
		require.NoError(t, s.Put(t.Context(), spool.Entry{Key: fmt.Sprint(i), Body: bytes.Repeat([]byte{'x'}, block/2)}))
	}
	require.NoError(t, s.Close())
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	require.NoError(t, err)
	require.Len(t, paths, 1)
	whole, err := os.ReadFile(paths[0])
	require.NoError(t, err)
	_, hex, _ := strings.Cut(strings.TrimSuffix(filepath.Base(paths[0]), ".log"), "-")
	mark, err := strconv.ParseUint(hex, 16, 64)
	require.NoError(t, err)

	for name, bad := range map[string]badRange{
		"in the middle": {from: 3 * block, to: 4 * block},
		"at the start":  {from: 0, to: 1},
		"at the end":    {from: int64(len(whole)) - 1, to: int64(len(whole))},
	} {
		t.Run(name, func(t *testing.T) {
			bad.Reader = bytes.NewReader(whole)
			b, lost, fault := spool.ReadBlocks(bad, int64(len(whole)))
			require.ErrorIs(t, fault, errRead)
			require.Len(t, b, len(whole))
			require.LessOrEqual(t, lost, int64(block))
			found, _, _, err := spool.ScanRecords(b, mark)
			require.NoError(t, err)
			// A block overlaps at most three records of half its size.
			require.GreaterOrEqual(t, len(found), entries-3)
			require.Less(t, len(found), entries)
		})
	}
	t.Run("nowhere", func(t *testing.T) {
		b, lost, fault := spool.ReadBlocks(bytes.NewReader(whole), int64(len(whole)))
		require.NoError(t, fault)
		require.Zero(t, lost)
		require.Equal(t, whole, b)
	})
	t.Run("a file that was cut short meanwhile is as long as it is", func(t *testing.T) {
		b, _, fault := spool.ReadBlocks(bytes.NewReader(whole[:block]), int64(len(whole)))
		require.NoError(t, fault)
		require.Equal(t, whole[:block], b)
	})
}
