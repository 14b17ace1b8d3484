package cli_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/provider"
)

func TestProvidersAreListedAndExplained(t *testing.T) {
	t.Run("all", func(t *testing.T) {
		got := run(t, nil, "providers")
		require.Zero(t, got.code)
		require.Equal(t, len(provider.Names())+1, strings.Count(got.out, "\n"))
		for _, name := range provider.Names() {
			require.Contains(t, got.out, "\n"+name+" ")
		}
	})
	t.Run("all as JSON", func(t *testing.T) {
		got := run(t, nil, "providers", "--json")
		require.Zero(t, got.code)
		var names []string
		require.NoError(t, json.Unmarshal([]byte(got.out), &names))
		require.Equal(t, provider.Names(), names)
	})
	t.Run("all as a table", func(t *testing.T) {
		got := run(t, nil, "providers", "--markdown")
		require.Zero(t, got.code)
		require.Equal(t, provider.Table(), got.out)
	})
	for _, name := range append(provider.Names(), "svix", "ZOOM") {
		t.Run(name, func(t *testing.T) {
			got := run(t, nil, "providers", name)
			require.Zero(t, got.code)
			require.Contains(t, got.out, "- Paste: ")
			got = run(t, nil, "providers", name, "--json")
			require.Zero(t, got.code)
			require.True(t, json.Valid([]byte(got.out)))
		})
	}
	for _, args := range [][]string{{"providers", "nobody"}, {"providers", "nobody", "--json"}, {"providers", "a", "b"}, {"providers", "--yaml"}} {
		t.Run(strings.Join(args, " ")+" is wrong", func(t *testing.T) {
			got := run(t, nil, args...)
			require.Equal(t, 2, got.code)
			require.Empty(t, got.out)
			require.Contains(t, got.err, "See 'grapnel ")
		})
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	var walk func(t *testing.T, path []string)
	walk = func(t *testing.T, path []string) {
		t.Helper()
		got := run(t, nil, append(path, "--help")...)
		require.Zero(t, got.code, got.err)
		require.Empty(t, got.err)
		require.Contains(t, got.out, "Usage:")
		require.NotContains(t, got.out, "—")
		for line := range strings.Lines(got.out) {
			require.LessOrEqual(t, len([]rune(line)), 160, line)
		}
		for _, name := range subcommands(t, got.out) {
			walk(t, append(slices.Clip(path), name))
		}
	}
	walk(t, nil)
}

// subcommands reads the commands of a help; each must say in a line what it does.
func subcommands(t *testing.T, help string) []string {
	t.Helper()
	var names []string
	inside := false
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "Run it:" || line == "Try and inspect it:" || line == "Available Commands:" || line == "Additional Commands:":
			inside = true
		case !strings.HasPrefix(line, "  "):
			inside = false
		case inside:
			name, short, _ := strings.Cut(strings.TrimSpace(line), " ")
			require.NotEmpty(t, strings.TrimSpace(short), "%s says nothing of itself", name)
			names = append(names, name)
		}
	}
	return names
}

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		code int
		text string
	}{
		{"nothing is help", nil, 0, "Usage:"},
		{"the version", []string{"--version"}, 0, "grapnel version"},
		{"help of a command", []string{"help", "send"}, 0, "Usage:"},
		{"a command that is none", []string{"sned"}, 2, "unknown command"},
		{"a flag that is none", []string{"--nothing"}, 2, "unknown flag"},
		{"a flag of a command that is none", []string{"up", "--nothing"}, 2, "unknown flag"},
		{"an argument too many", []string{"check", "now"}, 2, "now"},
		{"an argument too many to start with", []string{"up", "now"}, 2, "now"},
		{"a command below that is none", []string{"spool", "lst"}, 2, "lst"},
		{"a command alone that has others below", []string{"spool"}, 0, "Available Commands:"},
		{"an argument too many below", []string{"spool", "list", "now"}, 2, "now"},
		{"a limit that is none", []string{"spool", "list", "--limit", "x"}, 2, "invalid argument"},
		{"an admin listener that is none", []string{"health", "--admin", "http://127.0.0.1:1"}, 1, "ask the admin listener"},
		{"an admin address that is none", []string{"health", "--admin", "http://127.0.0.1:x"}, 2, "invalid port"},
		{"a configuration that is not there", []string{"starter"}, 1, "nonexistent"},
		{"a configuration that is not there for the worker", []string{"worker"}, 1, "nonexistent"},
		{"a configuration that is not there for all", []string{"up"}, 1, "nonexistent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, []string{"GRAPNEL_CONFIG=/nonexistent/grapnel.yaml", "GRAPNEL_DATA_DIR=" + t.TempDir()}, test.args...)
			require.Equal(t, test.code, got.code, got.out+got.err)
			require.Contains(t, got.out+got.err, test.text)
			if test.code != 0 {
				require.True(t, strings.HasPrefix(got.err, "grapnel: "), got.err)
				require.Empty(t, got.out)
			}
		})
	}
}

func TestCompletionForEveryShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		got := run(t, nil, "completion", shell)
		require.Zero(t, got.code, shell)
		require.Contains(t, got.out, "grapnel")
		require.Greater(t, len(got.out), 1000)
	}
	got := run(t, nil, "__complete", "providers", "st")
	require.Zero(t, got.code)
	require.Contains(t, got.out, "stripe\n")
}
