package event_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/event"
)

// A value that is not on the list would be counted and never shown.
func TestEveryValueOfBecameHasWords(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "operation.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var declared []event.Became
	ast.Inspect(file, func(node ast.Node) bool {
		value, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(value.Names[0].Name, "Became") {
			return true
		}
		text, err := strconv.Unquote(value.Values[0].(*ast.BasicLit).Value)
		require.NoError(t, err)
		declared = append(declared, event.Became(text))
		return true
	})
	require.ElementsMatch(t, declared, event.EveryBecame())
	said := map[string]event.Became{}
	for _, became := range event.EveryBecame() {
		words := became.Words()
		require.NotEmpty(t, words)
		require.NotContains(t, words, "_", "these are words for people")
		require.Empty(t, said[words], "%q is said of two values", words)
		said[words] = became
	}
	require.Equal(t, "of_tomorrow", event.Became("of_tomorrow").Words(), "a newer version may have more values")
}
