package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const guide = "../../docs/handlers.md"

// filesOf gives the files that a document shows: blocks whose first line names one.
func filesOf(t *testing.T, document string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	files := map[string]string{}
	for _, block := range regexp.MustCompile("(?s)```(?:go|yaml) (\\S+)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		files[block[1]] = block[2]
	}
	return files
}

func TestTheHandlerGuideShowsTheExampleThatIsTested(t *testing.T) {
	t.Parallel()
	shown := filesOf(t, guide)
	require.Len(t, shown, 4)
	for name, text := range shown {
		file, err := os.ReadFile(filepath.Join("../../docs/shop", name))
		require.NoError(t, err)
		require.Equal(t, string(file), text, name)
	}
}

// A module outside of this one adds a handler, tests it and runs it, by the
// commands of the guide.
func TestAModuleOfOnesOwnAddsAHandler(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a program")
	}
	shown := filesOf(t, guide)
	h := newHome(t, shown["grapnel.yaml"])
	for name, text := range shown {
		require.NoError(t, os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600))
	}
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	// The sums of what grapnel needs, so that nothing is asked for them.
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "go.sum"), sums, 0o600))
	h.binary = filepath.Join(h.dir, "bin", "shop")

	var p *program
	dead := ""
	for _, command := range commandsOf(t, guide) {
		if strings.HasPrefix(command, "go ") {
			outside(t, h.dir, root, command)
			continue
		}
		if p == nil {
			p = h.start(t, "up")
			require.Contains(t, p.out.String(), "shop send stripe\n", "the banner names the program that runs")
			h.env = append(h.env, "GRAPNEL_LISTEN="+strings.TrimPrefix(p.receiver, "http://"), "TEMPORAL_ADDRESS="+p.temporal)
		}
		out, code := h.command(t, "sh", "-c", command)
		require.Zero(t, code, "%s: %s", command, out)
		switch {
		case strings.Contains(command, "amount_paid=0"):
			dead = eventID(t, out)
			require.Contains(t, p.system(t).dead(t, dead), "an invoice that is paid has an amount")
		case strings.Contains(command, "send"):
			require.NoError(t, p.system(t).result(t, eventID(t, out)))
			require.Contains(t, p.log.String(), "invoice paid")
		}
	}
	require.NotEmpty(t, dead, "the guide shows how an event dies")
	p.interrupt(t)
}

// outside runs a command of Go in a module beside this one. What would fetch
// grapnel takes it from here.
func outside(t *testing.T, dir, root, command string) {
	t.Helper()
	switch command {
	case "go get github.com/grapnel/grapnel":
		command = "go mod edit -require=github.com/grapnel/grapnel@v0.0.0 -replace=github.com/grapnel/grapnel=" + root
	case "go mod tidy":
		return // It looks for the tests of every module, which nobody here has.
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod "+os.Getenv("GOFLAGS"), "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", command, out)
}
