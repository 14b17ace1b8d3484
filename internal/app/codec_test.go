package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/config"
)

func TestWhereAWebUIFindsTheCodec(t *testing.T) {
	for _, c := range []struct {
		name, listen, want string
		from               config.Size
	}{
		{"on loopback", "127.0.0.1:9090", "http://127.0.0.1:9090/codec", 4096},
		{"on a name", "admin.internal:9090", "http://admin.internal:9090/codec", 4096},
		{"on every address", ":9090", "http://127.0.0.1:9090/codec", 4096},
		{"on every address of IPv6", "[::]:9090", "http://127.0.0.1:9090/codec", 4096},
		{"on loopback of IPv6", "[::1]:9090", "http://[::1]:9090/codec", 4096},
		{"nowhere while the port is not known", "127.0.0.1:0", "", 4096},
		{"nowhere while nothing is compressed", "127.0.0.1:9090", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, app.CodecEndpoint(c.listen, "", c.from))
		})
	}
	t.Run("by a key where there is a token", func(t *testing.T) {
		got := app.CodecEndpoint("127.0.0.1:9090", "a-token-of-the-tests", 4096)
		require.Regexp(t, `^http://127\.0\.0\.1:9090/codec/[0-9a-f]{32}$`, got)
		require.NotEqual(t, got, app.CodecEndpoint("127.0.0.1:9090", "another-of-the-tests", 4096))
	})
}

func TestWhichWebUIsMayAskTheCodec(t *testing.T) {
	require.Empty(t, app.CodecOrigins("", ""))
	require.Equal(t, []string{"http://127.0.0.1:8233", "http://localhost:8233", "https://temporal.example.com"},
		app.CodecOrigins("http://127.0.0.1:8233", "https://temporal.example.com"))
}
