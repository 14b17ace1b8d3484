package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/cli"
)

// file writes a configuration and gives the environment that names it.
func file(t *testing.T, yaml string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "grapnel.yaml")
	require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
	return []string{"GRAPNEL_CONFIG=" + path}
}

func TestCheckReportsEveryFaultAtOnce(t *testing.T) {
	environ := file(t, "sources:\n  zoom:\n    provider: zom\n    secrets: [\"${NOT_SET}\"]\n    tolerans: 5m\n  bad:\n    provider: zoom\n    secrets: []\n")
	got := run(t, environ, "check", "--offline")
	require.Equal(t, 1, got.code)
	require.Empty(t, got.err)
	for _, part := range []string{":3:", ":4:", ":5:", "zom", "NOT_SET", "tolerans", "sources.bad.secrets"} {
		require.Contains(t, got.out, part)
	}
	require.GreaterOrEqual(t, strings.Count(got.out, "fault: "), 4, got.out)
	require.NotContains(t, got.out, "no fault")

	got = run(t, environ, "check", "--offline", "--json")
	require.Equal(t, 1, got.code)
	var report struct {
		Faults []struct {
			Line    int
			Message string
		}
		Warnings []any
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &report))
	require.GreaterOrEqual(t, len(report.Faults), 4)
	require.NotNil(t, report.Warnings)
}

func TestCheckWarnsOfWhatWorksAndIsRisky(t *testing.T) {
	environ := file(t, "sources:\n  zoom:\n    provider: zoom\n    secrets: [grapnel-development-secret]\n  short:\n    provider: zoom\n    secrets: [short]\n")
	got := run(t, environ, "check", "--offline")
	require.Zero(t, got.code, got.out)
	require.Contains(t, got.out, "configuration: no fault\n")
	require.GreaterOrEqual(t, strings.Count(got.out, "warning: "), 2, got.out)
	require.NotContains(t, got.out, "grapnel-development-secret", "a secret is never printed")
}

func TestCheckOfWhatIsNotThere(t *testing.T) {
	got := run(t, []string{"GRAPNEL_CONFIG=/nonexistent/grapnel.yaml"}, "check", "--offline")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "/nonexistent/grapnel.yaml")

	got = run(t, append(file(t, zoomOnly), "GRAPNEL_LOG_LEVEL=loud", "GRAPNEL_LISTEN=nowhere"), "check", "--offline")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "GRAPNEL_LOG_LEVEL")
}

func TestCheckWarnsOfAVariableThatNothingReads(t *testing.T) {
	environ := append(file(t, "sources:\n  zoom:\n    provider: zoom\n    secrets: [\"${GRAPNEL_OWN_SECRET}\"]\n"),
		"GRAPNEL_OWN_SECRET=a-secret-for-the-tests", "GRAPNEL_LOGLEVEL=debug", "GRAPNEL_QQ=1", "OTHER=1", "GRAPNEL_LOG_FORMAT=json")
	got := run(t, environ, "check", "--offline")
	require.Zero(t, got.code, got.out)
	require.Equal(t, 2, strings.Count(got.out, "warning: "), got.out)
	require.Contains(t, got.out, "warning: GRAPNEL_LOGLEVEL: has no effect, there is no such variable; did you mean GRAPNEL_LOG_LEVEL?\n")
	require.Contains(t, got.out, "warning: GRAPNEL_QQ: has no effect, there is no such variable\n")
}

func TestCheckAsksTemporal(t *testing.T) {
	t.Run("that is away", func(t *testing.T) {
		got := run(t, append(file(t, zoomOnly), "TEMPORAL_ADDRESS=127.0.0.1:1"), "check")
		require.Equal(t, 1, got.code)
		require.Contains(t, got.out, "temporal: at 127.0.0.1:1: cannot reach Temporal: ")
		require.Contains(t, got.out, "set TEMPORAL_ADDRESS to one that does")
	})
	t.Run("that is none", func(t *testing.T) {
		got := run(t, file(t, zoomOnly), "check")
		require.Zero(t, got.code, got.out+got.err)
		require.Contains(t, got.out, "none configured")
	})
	t.Run("whose settings are wrong", func(t *testing.T) {
		got := run(t, append(file(t, zoomOnly), "TEMPORAL_ADDRESS=127.0.0.1:1", "TEMPORAL_TLS_CLIENT_CERT_PATH=/nonexistent", "TEMPORAL_TLS_CLIENT_KEY_PATH=/nonexistent"), "check")
		require.Equal(t, 1, got.code)
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// A starter whose Temporal is away takes events into its spool and says so, and
// what waits can be listed and exported.
func TestAStarterWithoutTemporalKeepsWhatComes(t *testing.T) {
	environ := append(file(t, zoomOnly), "GRAPNEL_LISTEN="+freePort(t), "GRAPNEL_ADMIN_LISTEN="+freePort(t),
		"GRAPNEL_DATA_DIR="+t.TempDir(), "TEMPORAL_ADDRESS=127.0.0.1:1")
	require.Equal(t, 1, run(t, environ, "health").code, "nobody listens yet")
	ctx, stop := context.WithCancel(t.Context())
	var out, log lockedBuffer
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Program{Args: []string{"starter"}, World: app.World{Environ: environ, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &log}}.Run(ctx)
	}()
	require.Eventually(t, func() bool { return run(t, environ, "health").code == 0 }, time.Minute, 20*time.Millisecond)

	got := run(t, environ, "send", "zoom", "--set", "payload.object.topic=Kept")
	require.Zero(t, got.code, got.out+got.err)
	require.Contains(t, got.out, `"queued":true`)

	got = run(t, environ, "health", "--ready")
	require.Zero(t, got.code, "it takes events as long as its disk is well: "+got.out)
	require.Contains(t, got.out, "127.0.0.1:1")

	got = run(t, environ, "spool", "list", "--json")
	require.Zero(t, got.code, got.err)
	var list struct {
		Stats   struct{ Depth int }
		Entries []map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &list), got.out)
	require.Equal(t, 1, list.Stats.Depth)
	require.Len(t, list.Entries, 1)

	got = run(t, environ, "spool", "export")
	require.Zero(t, got.code, got.err)
	require.Equal(t, 1, strings.Count(got.out, "\n"))
	require.True(t, json.Valid([]byte(got.out)), got.out)

	stop()
	require.Zero(t, <-ended, log.String())
	require.NotContains(t, log.String()+out.String(), "a-secret-for-the-tests")
	require.NotContains(t, log.String(), "Kept", "a body is never logged")
}

// lockedBuffer is a buffer that many may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestCheckTellsWhichTargetsNoSourceReaches(t *testing.T) {
	environ := file(t, zoomOnly+"examples: [meetings]\ndestinations:\n  crm: {events: ['zom/*'], http: {url: 'https://crm.example.com'}}\n")
	got := run(t, environ, "check", "--offline")
	require.Zero(t, got.code, got.out)
	require.Contains(t, got.out, "warning: destination crm: no source of the configuration sends what it takes: there is no source zom; did you mean zoom?")
	require.Regexp(t, `handler zoom/meeting/started \(activities/meeting\.go:\d+\): takes zoom/meeting\.started of source zoom`, got.out)

	got = run(t, environ, "check", "--offline", "--json")
	var report struct {
		Targets []struct {
			Kind, Name, Fault string
			Sources           []string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &report))
	last := report.Targets[len(report.Targets)-1]
	require.Equal(t, "destination", last.Kind)
	require.Equal(t, "crm", last.Name)
	require.Empty(t, last.Sources)
	require.NotEmpty(t, last.Fault)
}
