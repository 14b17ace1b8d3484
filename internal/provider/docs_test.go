package provider_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/provider"
)

// docs/providers.md is printed from the presets. GRAPNEL_UPDATE_GOLDEN=1 writes
// it anew.
func TestTheDocumentationListsThePresets(t *testing.T) {
	const path = "../../docs/providers.md"
	want := `# Senders

Printed from the presets; ` + "`grapnel providers NAME`" + ` says more of one, and what to paste where.
` + "`internal/provider/presets`" + ` holds them, in the grammar that a ` + "`verify:`" + ` block of grapnel.yaml
is written in. To add one, write it there (` + "`make preset NAME=x`" + ` begins it) and prove it:
` + "`grapnel verify --vectors FILE`" + ` judges requests whose verdict is known.

` + provider.Table()
	if os.Getenv("GRAPNEL_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}
