package destination_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/destination"
)

// TestEncodeFollowsCloudEvents has the examples of CloudEvents' HTTP binding,
// section 3.1.3.2.
func TestEncodeFollowsCloudEvents(t *testing.T) {
	for in, want := range map[string]string{
		"Euro € 😀": "Euro%20%E2%82%AC%20%F0%9F%98%80",
		"":         "", "plain!~": "plain!~", `"%`: "%22%25", "a\r\nb": "a%0D%0Ab", "\x7f": "%7F", "a\xffb": "a%EF%BF%BDb",
	} {
		require.Equal(t, want, destination.Encode(in), in)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("Euro € 😀")
	f.Add("a\r\nX-Forged: 1")
	f.Fuzz(func(t *testing.T, s string) {
		got := destination.Encode(s)
		require.Equal(t, -1, strings.IndexFunc(got, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }), got)
		back, err := url.PathUnescape(got)
		require.NoError(t, err)
		if utf8.ValidString(s) {
			require.Equal(t, s, back)
		}
	})
}
