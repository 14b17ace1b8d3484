package cli_test

import (
	"encoding/json"
	"path/filepath"
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

	listed := run(t, environ, "spool", "list")
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
