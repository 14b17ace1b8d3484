package app_test

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/app"
)

// With GRAPNEL_UPDATE_GOLDEN=1, as in `make openapi`, the test writes the document.
func TestTheOpenAPIDocumentIsThatOfTheCode(t *testing.T) {
	const file = "../../docs/openapi.json"
	made, err := app.OpenAPI()
	require.NoError(t, err)
	if os.Getenv("GRAPNEL_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(file, made, 0o600))
		return
	}
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(kept), string(made), "write it anew with `make openapi`")
}

func TestEveryParameterOfAPathIsRead(t *testing.T) {
	made, err := app.OpenAPI()
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	require.NoError(t, json.Unmarshal(made, &doc))
	require.NotEmpty(t, doc.Paths)
	for path, methods := range doc.Paths {
		for method, op := range methods {
			var inPath, read []string
			for _, m := range regexp.MustCompile(`{([^}]+)}`).FindAllStringSubmatch(path, -1) {
				inPath = append(inPath, m[1])
			}
			for _, p := range op.Parameters {
				if p.In == "path" {
					read = append(read, p.Name)
				}
			}
			require.Equal(t, inPath, read, "%s %s", method, path)
		}
	}
}
