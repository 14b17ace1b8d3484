package spool_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/spool"
)

func TestView(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Path: dir})
	put(t, s, "a", "b")
	see := func(*spool.Spool) error { return nil }
	require.ErrorIs(t, spool.View(spool.Options{Path: dir}, see), spool.ErrInUse)
	require.NoError(t, s.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "refused", "1.entry.tmp"), nil, 0o600))
	before := segmentsOf(t, dir)
	require.NoError(t, spool.View(spool.Options{Path: dir}, func(s *spool.Spool) error {
		require.Equal(t, 2, s.Stats().Depth)
		listed, err := s.List(10)
		require.NoError(t, err)
		require.Len(t, listed, 2)
		var out bytes.Buffer
		require.NoError(t, s.Export(&out))
		require.Contains(t, out.String(), "body of b")
		require.ErrorIs(t, s.Put(t.Context(), entry("c")), spool.ErrClosed)
		_, err = spool.Open(spool.Options{Path: dir})
		require.ErrorIs(t, err, spool.ErrInUse, "nobody opens it meanwhile")
		return nil
	}))
	require.Equal(t, before, segmentsOf(t, dir))
	require.FileExists(t, filepath.Join(dir, "refused", "1.entry.tmp"), "nothing is changed")
	require.ErrorIs(t, spool.View(spool.Options{Path: t.TempDir()}, see), os.ErrNotExist)
}
