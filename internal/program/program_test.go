package program_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/program"
)

func TestTheNameIsThatOfTheBinary(t *testing.T) {
	for path, want := range map[string]string{
		"grapnel": "grapnel", "/usr/local/bin/shop": "shop", "./bin/my-hooks": "my-hooks", "shop.exe": "shop",
		"/tmp/go-build/cli.test": "grapnel", "": "grapnel", "/": "grapnel",
		"./my shop": "grapnel", "-sh": "grapnel", "./it's": "grapnel", "/opt/a b/läden": "läden", "shop-1.2_x": "shop-1.2_x",
	} {
		t.Run(path, func(t *testing.T) { require.Equal(t, want, program.NameOf(path)) })
	}
	require.Equal(t, "grapnel", program.Name(), "the name of a test's binary is none")
	require.Equal(t, "grapnel send zoom", program.Command("send zoom"))
}

func TestCommandsInATextAreRenamed(t *testing.T) {
	for text, want := range map[string]string{
		"Start with 'grapnel up', then `grapnel send zoom`.":    "Start with 'shop up', then `shop send zoom`.",
		"  grapnel dlq list\n  grapnel dlq show ID":             "  shop dlq list\n  shop dlq show ID",
		"grapnel works with grapnel.yaml, as grapnel's up does": "grapnel works with grapnel.yaml, as grapnel's up does",
		"what mygrapnel up is, and grapnel uploads":             "what mygrapnel up is, and grapnel uploads",
	} {
		require.Equal(t, want, program.Rename(text, "shop"))
	}
}
