package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/secret"
)

func TestAKnownSecretIsHiddenInEveryForm(t *testing.T) {
	const it = "a secret/of+40 bytes that nobody must see"
	m := secret.NewMasker(it, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "short", "")
	for name, text := range map[string]string{
		"as it is":                     it,
		"in hex":                       hex.EncodeToString([]byte(it)),
		"percent-encoded":              url.QueryEscape(it),
		"in base64":                    base64.StdEncoding.EncodeToString([]byte(it)),
		"in base64 for URLs":           base64.RawURLEncoding.EncodeToString([]byte(it)),
		"in base64 behind a user":      base64.StdEncoding.EncodeToString([]byte("u:" + it)),
		"in base64 behind a long user": base64.StdEncoding.EncodeToString([]byte("me:" + it + "\n")),
		"without its prefix":           "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	} {
		t.Run(name, func(t *testing.T) {
			got := m.Mask(`{"before":"` + text + `","after":1}`)
			require.Contains(t, got, "***")
			require.Contains(t, got, `"after":1}`)
			require.Less(t, len(got), len(text)/3+40, got)
		})
	}
	require.Equal(t, "a short text", m.Mask("a short text"), "too short to tell from any text")
	require.Equal(t, "x", (*secret.Masker)(nil).Mask("x"))
}
