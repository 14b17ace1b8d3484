package spool_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/spool"
)

// threeEntries leaves a closed spool with one segment of three records of one size.
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
	require.ErrorContains(t, err, "notes.log is no segment")
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
