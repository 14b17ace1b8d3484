package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/config"
)

// environment is a lookup over a map.
func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

// TestMistakes loads each file of testdata/bad and compares all that is said of
// it with the text beside it. With GRAPNEL_UPDATE_GOLDEN set it writes the texts.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		golden := strings.TrimSuffix(file, ".yaml") + ".txt"
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			c, err := config.Load(file, environment(map[string]string{"EMPTY": "", "HOST": "example.com"}))
			require.Nil(t, c)
			var faults config.Faults
			require.ErrorAs(t, err, &faults)
			for _, f := range faults {
				require.Positive(t, f.Line, f)
				require.Positive(t, f.Column, f)
			}
			got := strings.ReplaceAll(err.Error(), file, filepath.Base(file)) + "\n"
			require.NotContains(t, got, "hunter2", "a fault must not hold a secret")
			if os.Getenv("GRAPNEL_UPDATE_GOLDEN") != "" {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}
