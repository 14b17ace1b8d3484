package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/cli"
	"github.com/grapnel/grapnel/internal/program"
)

// argumentsOfAnother holds the arguments of a program of another name that a test runs.
const argumentsOfAnother = "GRAPNEL_TEST_ARGUMENTS"

// TestAsAnother is that program: it does nothing where no other test runs it.
func TestAsAnother(t *testing.T) {
	arguments, ok := os.LookupEnv(argumentsOfAnother)
	if !ok {
		return
	}
	world := app.World{
		Environ: []string{"GRAPNEL_DATA_DIR=" + t.TempDir()}, Stdin: strings.NewReader(""), Stdout: os.Stdout, Stderr: os.Stderr,
	}
	cli.Program{World: world, Args: strings.Fields(arguments)}.Run(t.Context())
}

func TestHelpAndHintsNameTheProgramThatRuns(t *testing.T) {
	binary, err := os.Executable()
	require.NoError(t, err)
	shop := filepath.Join(t.TempDir(), "shop")
	require.NoError(t, os.Symlink(binary, shop))
	for arguments, want := range map[string]string{
		"":                  "Start with 'shop up', then 'shop send zoom' in another terminal.",
		"dlq replay --help": "shop dlq replay --route crm --dry-run",
		"providers nobody":  "'shop providers' lists them",
		"starter --what":    "See 'shop starter --help'.",
	} {
		t.Run("shop "+arguments, func(t *testing.T) {
			run := exec.CommandContext(t.Context(), shop, "-test.run=^TestAsAnother$")
			run.Env = append(os.Environ(), argumentsOfAnother+"="+arguments)
			out, err := run.CombinedOutput()
			require.NoError(t, err, string(out))
			require.Contains(t, string(out), want)
			require.Equal(t, string(out), program.Rename(string(out), "shop"), "a text says grapnel still")
		})
	}
}

// Texts are renamed by a list of commands, which has to be whole.
func TestEveryCommandIsOneThatTextsName(t *testing.T) {
	got := run(t, nil, "__complete", "")
	require.Zero(t, got.code)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Greater(t, len(lines), 20)
	for _, line := range lines {
		if name, _, ok := strings.Cut(line, "\t"); ok {
			require.Equal(t, "shop "+name, program.Rename("grapnel "+name, "shop"), "add it to the list of internal/program")
		}
	}
}
