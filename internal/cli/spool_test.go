package cli_test

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/spool"
)

func TestTheSpoolOfAReceiverThatEndedIsReadFromItsDirectory(t *testing.T) {
	dir := t.TempDir()
	environ := []string{"GRAPNEL_DATA_DIR=" + dir, "GRAPNEL_ADMIN_LISTEN=127.0.0.1:1"}
	none := run(t, environ, "spool", "list")
	require.NotZero(t, none.code)
	require.Contains(t, none.err, "no spool to look at")
	require.Contains(t, none.err, "is grapnel running")

	s, err := spool.Open(spool.Options{Path: filepath.Join(dir, "spool")})
	require.NoError(t, err)
	require.NoError(t, s.Put(t.Context(), spool.Entry{Key: "k", Meta: []byte(`{"source":"zoom"}`), Body: []byte("the body")}))
	held := run(t, environ, "spool", "list")
	require.NotZero(t, held.code)
	require.Contains(t, held.err, "in use by another process")
	require.NoError(t, s.Close())

	table := run(t, environ, "spool", "list")
	require.Zero(t, table.code, table.err)
	require.Regexp(t, `(?s)^SEQUENCE .*\n\d+ +\S+ +zoom +k +25 +\n1 waiting, 0 set aside, .* used\n$`, table.out)
	listed := run(t, environ, "spool", "list", "--json")
	require.Zero(t, listed.code, listed.err)
	var said struct {
		Stats   struct{ Depth int }
		Entries []struct{ Key string }
	}
	require.NoError(t, json.Unmarshal([]byte(listed.out), &said))
	require.Equal(t, 1, said.Stats.Depth)
	require.Equal(t, "k", said.Entries[0].Key)
	require.Contains(t, run(t, environ, "spool", "export").out, `"body":"the body"`)
	require.NotZero(t, run(t, environ, "spool", "list", "--admin", "http://127.0.0.1:1").code, "another address is not this machine's directory")
}

func TestWhatWasSetAsideIsPutBackByItsNumberOrAllTogether(t *testing.T) {
	dir := t.TempDir()
	environ := []string{"GRAPNEL_DATA_DIR=" + dir, "GRAPNEL_ADMIN_LISTEN=127.0.0.1:1"}
	require.Contains(t, run(t, environ, "spool", "retry", "--all").err, "no spool to open")
	s, err := spool.Open(spool.Options{Path: filepath.Join(dir, "spool")})
	require.NoError(t, err)
	var aside []string
	for _, key := range []string{"a", "b", "c"} {
		require.NoError(t, s.Put(t.Context(), spool.Entry{Key: key, Body: []byte("the body")}))
		entries, err := s.Next(t.Context(), 1)
		require.NoError(t, err)
		require.NoError(t, s.SetAside(entries[0], "not today"))
		aside = append(aside, strconv.FormatUint(entries[0].Sequence, 10))
	}
	require.NoError(t, s.Close())

	for _, wrong := range [][]string{{"spool", "retry"}, {"spool", "retry", "--all", aside[0]}, {"spool", "retry", "x"}} {
		require.Equal(t, 2, run(t, environ, wrong...).code, wrong)
	}
	require.Contains(t, run(t, environ, "spool", "retry", "7").err, "is set aside: 7")
	require.Equal(t, "1 entry is back in the queue\n", run(t, environ, "spool", "retry", aside[1]).out)
	require.Equal(t, "2 entries are back in the queue\n", run(t, environ, "spool", "retry", "--all").out)

	s, err = spool.Open(spool.Options{Path: filepath.Join(dir, "spool")})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.Zero(t, s.Stats().Refused)
	entries, err := s.Next(t.Context(), 9)
	require.NoError(t, err)
	require.Equal(t, []string{"b", "a", "c"}, []string{entries[0].Key, entries[1].Key, entries[2].Key})
	require.Equal(t, "the body", string(entries[0].Body))
}
