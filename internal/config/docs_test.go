package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/config"
)

// The README's table of variables is printed from the code.
// GRAPNEL_UPDATE_GOLDEN=1 writes it anew.
func TestTheREADMEListsTheEnvironment(t *testing.T) {
	const path, begin, end = "../../README.md", "<!-- environment: printed by the code, compared by a test -->\n", "<!-- /environment -->\n"
	src, err := os.ReadFile(path)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(src), begin)
	require.True(t, ok)
	table, tail, ok := strings.Cut(rest, end)
	require.True(t, ok)
	var want strings.Builder
	require.NoError(t, config.DescribeEnv(&want))
	if os.Getenv("GRAPNEL_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(path, []byte(head+begin+want.String()+end+tail), 0o600))
		return
	}
	require.Equal(t, want.String(), table)
}
