package spool_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/spool"
)

// smallDisk is a file system of 1 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

func TestAFullDiskRefusesAndRecoversByItself(t *testing.T) {
	dir := smallDisk(t)
	path := filepath.Join(dir, "spool")
	s := open(t, spool.Options{Path: path})
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 700<<10), 0o600))
	big := func(key string) spool.Entry { return spool.Entry{Key: key, Body: make([]byte, 100<<10)} }
	var kept []string
	var err error
	for i := 0; err == nil; i++ {
		key := string(rune('a' + i))
		if err = s.Put(t.Context(), big(key)); err == nil {
			kept = append(kept, key)
		}
	}
	require.ErrorIs(t, err, spool.ErrFailed)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NotEmpty(t, kept)
	require.NoError(t, os.Remove(ballast))
	require.Eventually(t, func() bool { return !s.Stats().Failed }, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, s.Put(t.Context(), big("late")))
	require.NoError(t, s.Close())
	s = open(t, spool.Options{Path: path})
	require.Equal(t, append(kept, "late"), keysOf(next(t, s, 100)))
	require.NoError(t, s.Close())

	require.NoError(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	_, err = spool.Open(spool.Options{Path: path})
	require.ErrorIs(t, err, syscall.EROFS)
	require.ErrorContains(t, err, "make the directory writable")
}

func TestADiskFilledByTheSpoolIsEmptiedByTheDrain(t *testing.T) {
	dir := smallDisk(t)
	s := open(t, spool.Options{Path: filepath.Join(dir, "spool")})
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	var err error
	for i := 0; err == nil; i++ {
		err = s.Put(t.Context(), spool.Entry{Key: fmt.Sprint(i), Body: make([]byte, 10<<10)})
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	for s.Stats().Depth > 0 {
		for _, e := range next(t, s, 10) {
			s.Done(e)
		}
	}
	require.Eventually(t, func() bool { return !s.Stats().Failed }, 10*time.Second, 5*time.Millisecond)
	put(t, s, "after")
}
