package provider_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/provider"
)

// vectors.json is a public collection; derived.json was computed by a program of
// its own for senders that the collection has no vectors of.
func TestEveryVectorIsJudgedAsExpected(t *testing.T) {
	for _, file := range []string{"vectors.json", "derived.json"} {
		f, err := os.Open("testdata/" + file)
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		results, err := provider.RunVectors(f)
		require.NoError(t, err)
		require.NotEmpty(t, results)
		for _, r := range results {
			t.Run(r.ID, func(t *testing.T) {
				require.True(t, r.Agrees, "%s (%s): got %s, want %s: %s", r.Name, r.Scheme, r.Got, r.Expect, r.Detail)
				require.Equal(t, r.Expect, r.Got, r.Detail)
			})
		}
	}
}

func TestAFileThatIsNoListOfVectorsIsRefused(t *testing.T) {
	_, err := provider.RunVectors(strings.NewReader(`{"id":"x"}`))
	require.ErrorContains(t, err, "no JSON array")
}
