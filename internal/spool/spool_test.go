package spool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/spool"
)

func open(t *testing.T, o spool.Options) *spool.Spool {
	t.Helper()
	s, err := spool.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func entry(key string) spool.Entry {
	return spool.Entry{Key: key, Digest: "d", Meta: []byte(`{"source":"zoom"}`), Body: []byte("body of " + key)}
}

func put(t *testing.T, s *spool.Spool, keys ...string) {
	t.Helper()
	for _, key := range keys {
		require.NoError(t, s.Put(t.Context(), entry(key)))
	}
}

func next(t *testing.T, s *spool.Spool, limit int) []spool.Entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	entries, err := s.Next(ctx, limit)
	require.NoError(t, err)
	return entries
}

func keysOf(entries []spool.Entry) []string {
	var keys []string
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	return keys
}

func segmentsOf(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	require.NoError(t, err)
	return paths
}

func TestWhatWasPutIsOfferedOldestFirst(t *testing.T) {
	s := open(t, spool.Options{Path: filepath.Join(t.TempDir(), "spool")})
	received := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	body := []byte("exact \x00 bytes")
	require.NoError(t, s.Put(t.Context(), spool.Entry{Key: "a", Digest: "1", Received: received, Meta: []byte("m"), Body: body}))
	copy(body, "overwritten by the next request")
	put(t, s, "b", "c")
	got := next(t, s, 10)
	require.Equal(t, []string{"a", "b", "c"}, keysOf(got))
	require.Equal(t, "exact \x00 bytes", string(got[0].Body))
	require.Equal(t, "m", string(got[0].Meta))
	require.Equal(t, "1", got[0].Digest)
	require.True(t, received.Equal(got[0].Received))
	require.Equal(t, 1, got[0].Attempt)
}

func TestALeasedEntryIsOfferedAgainOnlyAfterRetry(t *testing.T) {
	s := open(t, spool.Options{Path: t.TempDir()})
	put(t, s, "a", "b", "c")
	first := next(t, s, 2)
	require.Equal(t, []string{"c"}, keysOf(next(t, s, 10)))
	s.Retry(first[1], 0)
	s.Retry(first[0], 0)
	again := next(t, s, 10)
	require.Equal(t, []string{"a", "b"}, keysOf(again))
	require.Equal(t, 2, again[0].Attempt)
	s.Done(again[0])
	s.Done(again[0])
	require.Equal(t, 2, s.Stats().Depth)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := s.Next(ctx, 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestWhatIsNotDoneIsOfferedAtTheNextOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Path: dir})
	put(t, s, "a", "b", "c", "d")
	got := next(t, s, 3)
	s.Done(got[0])
	s.Retry(got[2], time.Hour)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	s.Retry(got[1], 0)
	require.ErrorIs(t, s.Put(t.Context(), entry("x")), spool.ErrClosed)
	_, err := s.Next(t.Context(), 1)
	require.ErrorIs(t, err, spool.ErrClosed)

	s = open(t, spool.Options{Path: dir})
	require.Equal(t, 3, s.Stats().Depth)
	require.Equal(t, []string{"b", "c", "d"}, keysOf(next(t, s, 10)))
}

func TestARepeatIsAcceptedOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Path: dir})
	put(t, s, "a", "a", "a")
	other := entry("a")
	other.Digest = "another"
	require.NoError(t, s.Put(t.Context(), other))
	require.Equal(t, 2, s.Stats().Depth)
	require.EqualValues(t, 2, s.Stats().Repeats)
	require.NoError(t, s.Close())

	s = open(t, spool.Options{Path: dir})
	put(t, s, "a")
	require.Equal(t, 2, s.Stats().Depth)
	got := next(t, s, 2)
	put(t, s, "a")
	require.Equal(t, 2, s.Stats().Depth, "a leased entry is kept still")
	s.Done(got[0])
	put(t, s, "a")
	require.Equal(t, 2, s.Stats().Depth, "what is done may come again")
}

func TestConcurrentRepeatsShareOneCopy(t *testing.T) {
	s := open(t, spool.Options{Path: t.TempDir()})
	var wg sync.WaitGroup
	faults := make(chan error, 300)
	for i := range 300 {
		wg.Go(func() { faults <- s.Put(context.Background(), entry(fmt.Sprint(i%10))) })
	}
	wg.Wait()
	close(faults)
	for err := range faults {
		require.NoError(t, err)
	}
	require.Equal(t, 10, s.Stats().Depth)
	require.Less(t, s.Stats().Syncs, uint64(300))
}

func TestBounds(t *testing.T) {
	t.Run("bytes: full until something is done", func(t *testing.T) {
		s := open(t, spool.Options{Path: t.TempDir(), MaxBytes: 2000})
		big := func(key string) spool.Entry { return spool.Entry{Key: key, Body: make([]byte, 900)} }
		require.NoError(t, s.Put(t.Context(), big("a")))
		require.NoError(t, s.Put(t.Context(), big("b")))
		require.ErrorIs(t, s.Put(t.Context(), big("c")), spool.ErrFull)
		require.NoError(t, s.Put(t.Context(), big("a")), "a repeat needs no room")
		s.Done(next(t, s, 1)[0])
		require.NoError(t, s.Put(t.Context(), big("c")))
	})
	t.Run("age: full until the old one is done", func(t *testing.T) {
		now := time.Now()
		s := open(t, spool.Options{Path: t.TempDir(), MaxAge: time.Hour, Clock: func() time.Time { return now }})
		put(t, s, "a")
		now = now.Add(2 * time.Hour)
		require.ErrorIs(t, s.Put(t.Context(), entry("b")), spool.ErrFull)
		require.EqualValues(t, 2*time.Hour, s.Stats().OldestAge)
		s.Done(next(t, s, 1)[0])
		put(t, s, "b")
		require.Zero(t, s.Stats().OldestAge)
	})
	t.Run("one entry that is too large", func(t *testing.T) {
		s := open(t, spool.Options{Path: t.TempDir()})
		err := s.Put(t.Context(), spool.Entry{Key: "a", Body: make([]byte, spool.MaxEntry+1)})
		require.ErrorIs(t, err, spool.ErrTooLarge)
	})
	t.Run("no key", func(t *testing.T) {
		s := open(t, spool.Options{Path: t.TempDir()})
		require.ErrorContains(t, s.Put(t.Context(), spool.Entry{}), "has no key")
	})
	t.Run("a context that is over", func(t *testing.T) {
		s := open(t, spool.Options{Path: t.TempDir()})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.Put(ctx, entry("a")), context.Canceled)
	})
}

func TestASecondOpenerIsToldAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Path: dir})
	_, err := spool.Open(spool.Options{Path: dir})
	require.ErrorIs(t, err, spool.ErrInUse)
	require.ErrorContains(t, err, dir)
	require.NoError(t, s.Close())
	open(t, spool.Options{Path: dir})
}

func TestOnlyTheOwnerMayRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := open(t, spool.Options{Path: dir})
	put(t, s, "a")
	require.NoError(t, s.SetAside(next(t, s, 1)[0], "no"))
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		want := os.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		require.Equal(t, want, info.Mode().Perm(), path)
		return nil
	}))
}

func TestWhatIsSetAsideBlocksNothingAndIsShown(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Path: dir})
	put(t, s, "a", "b")
	before := s.Stats().Bytes
	e := next(t, s, 1)[0]
	require.NoError(t, s.SetAside(e, "too large for Temporal"))
	require.Error(t, s.SetAside(e, "twice"))
	for range 2 {
		st := s.Stats()
		require.Equal(t, 1, st.Depth)
		require.Equal(t, 1, st.Refused)
		require.Positive(t, st.RefusedBytes)
		require.GreaterOrEqual(t, st.Bytes, before)
		put(t, s, "a")
		require.Equal(t, 1, s.Stats().Depth, "a repeat of a refused entry is kept already")
		got := next(t, s, 10)
		require.Equal(t, []string{"b"}, keysOf(got))
		s.Retry(got[0], 0)
		listed, err := s.List(10)
		require.NoError(t, err)
		require.Len(t, listed, 2)
		require.Equal(t, spool.Refused, listed[0].State)
		require.Equal(t, "too large for Temporal", listed[0].Reason)
		require.Equal(t, "a", listed[0].Key)
		require.NoError(t, s.Close())
		s = open(t, spool.Options{Path: dir})
	}
}

func TestExportIsJSONLines(t *testing.T) {
	s := open(t, spool.Options{Path: t.TempDir()})
	body := `{"<":"é"}`
	require.NoError(t, s.Put(t.Context(), spool.Entry{Key: "a", Meta: []byte(`{"n":1}`), Body: []byte(body)}))
	require.NoError(t, s.Put(t.Context(), spool.Entry{Key: "b", Meta: []byte{0xff}, Body: []byte{0xfe, 0}}))
	for i := range 600 {
		if i%100 == 0 {
			put(t, s, fmt.Sprintf("k%d", i))
		}
	}
	next(t, s, 1)
	var out bytes.Buffer
	require.NoError(t, s.Export(&out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 8)
	require.Contains(t, lines[0], `"meta":{"n":1}`)
	var a, b spool.Listed
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &a))
	require.Equal(t, spool.Leased, a.State)
	require.Equal(t, body, *a.Body)
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &b))
	require.Equal(t, []byte{0xfe, 0}, b.BodyBase64)
	require.Equal(t, []byte{0xff}, b.MetaBase64)
	require.ErrorContains(t, s.Export(brokenWriter{}), "broken")
	listed, err := s.List(3)
	require.NoError(t, err)
	require.Len(t, listed, 3)
	require.Nil(t, listed[0].Body)
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

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
