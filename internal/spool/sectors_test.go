package spool_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/spool"
)

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
			// A block touches three records of half its size at the most.
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
