package app_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/event"
)

// watched is a file with its reloader.
type watched struct {
	app.Reloader
	path    string
	applied chan *config.Config
	refuse  error
	logs    *observer.ObservedLogs
}

const before = "sources:\n  a:\n    provider: generic-token\n    secrets: [a-token-for-tests]\n"

func watch(t *testing.T) *watched {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	w := &watched{path: filepath.Join(t.TempDir(), "grapnel.yaml"), applied: make(chan *config.Config, 9), logs: logs}
	w.write(t, before)
	c := parsed(t, w.path)
	w.Reloader = app.NewReloader(w.path, c, zap.New(core), func(c *config.Config) error {
		if w.refuse != nil {
			return w.refuse
		}
		w.applied <- c
		return nil
	})
	return w
}

func parsed(t *testing.T, path string) *config.Config {
	t.Helper()
	c, err := config.Load(path, func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	return c
}

func (w *watched) write(t *testing.T, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(w.path, []byte(text), 0o600))
}

// settle looks twice, because a change counts only once the file has stayed the same.
func (w *watched) settle() {
	w.Look()
	w.Look()
}

func TestChangedFileIsTakenOver(t *testing.T) {
	w := watch(t)
	began := w.Report()
	require.NotEmpty(t, began.Fingerprint)
	require.NotZero(t, began.Loaded)
	w.settle()
	require.Empty(t, w.applied, "nothing has changed")

	w.write(t, "# half of what an editor wr")
	w.Look()
	w.write(t, before+"    max_body: 10KB\n")
	w.Look()
	require.Empty(t, w.applied, "it has not stayed the same yet")
	w.Look()
	require.Len(t, w.applied, 1)
	require.EqualValues(t, 10_000, (<-w.applied).Sources["a"].MaxBody)
	after := w.Report()
	require.NotEqual(t, began.Fingerprint, after.Fingerprint)
	require.Equal(t, parsed(t, w.path).Fingerprint(), after.Fingerprint)

	w.write(t, "# a comment\n"+before+"    max_body: 10KB\n")
	w.settle()
	w.settle()
	require.Empty(t, w.applied, "a comment changes nothing")
}

func TestBadFileIsRefused(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, w *watched)
		fault string
	}{
		{"no YAML", func(t *testing.T, w *watched) { t.Helper(); w.write(t, "sources: [") }, "grapnel.yaml:1"},
		{"an unknown key", func(t *testing.T, w *watched) { t.Helper(); w.write(t, before+"    max_bodies: 1KB\n") }, "grapnel.yaml:5:"},
		{"a secret that is not set", func(t *testing.T, w *watched) { t.Helper(); w.write(t, before+"    url: ${NOT_SET}\n") }, "NOT_SET"},
		{"it is gone", func(t *testing.T, w *watched) { t.Helper(); require.NoError(t, os.Remove(w.path)) }, "no such file"},
		{"the receiver refuses it", func(t *testing.T, w *watched) {
			t.Helper()
			w.refuse = errors.New("not this one")
			w.write(t, before+"    max_body: 10KB\n")
		}, "not this one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := watch(t)
			began := w.Report()
			test.spoil(t, w)
			w.settle()
			w.settle()
			require.Empty(t, w.applied)
			r := w.Report()
			require.Contains(t, r.LastFault, test.fault)
			require.NotZero(t, r.FaultAt)
			require.Equal(t, began.Fingerprint, r.Fingerprint)
			require.Equal(t, began.Loaded, r.Loaded)
			require.Equal(t, 1, w.logs.FilterMessageSnippet("is refused").Len(), "said once")

			w.refuse = nil
			w.write(t, before)
			w.settle()
			require.Equal(t, began, w.Report(), "back as it was")
			require.Empty(t, w.applied)
		})
	}
}

func TestLinkThatIsTurned(t *testing.T) {
	w := watch(t)
	dir := filepath.Dir(w.path)
	for name, text := range map[string]string{"one": before, "two": before + "    max_body: 20KB\n"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "grapnel.yaml"), []byte(text), 0o600))
	}
	turn := func(to string) {
		require.NoError(t, os.Symlink(to, filepath.Join(dir, "new")))
		require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "data")))
	}
	require.NoError(t, os.Remove(w.path))
	require.NoError(t, os.Symlink(filepath.Join("data", "grapnel.yaml"), w.path))
	turn("one")
	w.settle()
	require.Empty(t, w.applied)
	turn("two")
	w.settle()
	require.EqualValues(t, 20_000, (<-w.applied).Sources["a"].MaxBody)
}

func TestHangUpReadsSecretsAgain(t *testing.T) {
	w := watch(t)
	secret := filepath.Join(filepath.Dir(w.path), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("the-first-of-two-secrets\n"), 0o600))
	w.write(t, "sources:\n  a:\n    provider: generic-token\n    secrets: ['file:secret']\n")
	w.settle()
	require.Equal(t, "the-first-of-two-secrets", (<-w.applied).Sources["a"].Secrets[0].Value.Reveal())

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	run := w.Begin()
	go func() { ended <- run(ctx) }()
	require.NoError(t, os.WriteFile(secret, []byte("the-second-of-two-secrets\n"), 0o600))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	require.Equal(t, "the-second-of-two-secrets", (<-w.applied).Sources["a"].Secrets[0].Value.Reveal())
	cancel()
	require.NoError(t, <-ended)
}

func TestWhatNeedsARestartIsSaid(t *testing.T) {
	w := watch(t)
	w.write(t, "timeouts: {header: 1s}\nmax_inflight: 7\nmax_requests: 7\nretention: 48h\ncompress_from: 4KiB\nrate_store: redis://localhost\n"+before)
	w.settle()
	require.Len(t, w.applied, 1)
	said := w.logs.FilterMessageSnippet("only after a restart").All()
	require.Len(t, said, 1)
	require.Equal(t, []any{"timeouts", "max_inflight", "rate_store", "retention", "compress_from"}, said[0].ContextMap()["settings"])
}

func TestWorkerTakesOverDestinations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.yaml")
	load := func(more string) *config.Config {
		require.NoError(t, os.WriteFile(path, []byte(before+more), 0o600))
		return parsed(t, path)
	}
	const destination = "destinations:\n  crm: {events: ['a/*'], http: {url: 'https://crm.example.com/hooks'}}\n"
	a, apply, err := app.Working(load(""), zap.NewNop())
	require.NoError(t, err)
	plan := func() event.Plan {
		p, err := a.Route(t.Context(), event.Ask{Event: event.Event{Source: "a", Type: "nobody.wants"}}, converter.RawValue{})
		require.NoError(t, err)
		return p
	}
	require.Equal(t, event.Plan{}, plan())
	require.NoError(t, apply(load(destination)))
	require.Len(t, plan().Routes, 1)
	require.Equal(t, "crm", plan().Routes[0].Name)
	require.NoError(t, apply(load("    unmatched: ignore\n")))
	require.Equal(t, event.Plan{Ignore: true}, plan())
}

func TestTheWorkedExampleRunsOnlyWhereTheConfigurationSaysSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.yaml")
	load := func(more string) *config.Config {
		require.NoError(t, os.WriteFile(path, []byte(before+more), 0o600))
		return parsed(t, path)
	}
	a, apply, err := app.Working(load(""), zap.NewNop())
	require.NoError(t, err)
	routes := func() (names []string) {
		p, err := a.Route(t.Context(), event.Ask{Event: event.Event{Source: "zoom", Type: "meeting.started"}}, converter.RawValue{})
		require.NoError(t, err)
		for _, r := range p.Routes {
			names = append(names, r.Name)
		}
		return names
	}
	require.Empty(t, routes())
	require.NoError(t, apply(load("examples: [meetings]\n")))
	require.Equal(t, []string{"zoom/meeting/started"}, routes())
	require.NoError(t, apply(load("examples: []\n")))
	require.Empty(t, routes())
}
