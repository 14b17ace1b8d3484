package starter_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSignedURLIsThePublicOne(t *testing.T) {
	const profile = `sources:
  a:
    verify:
      algorithm: hmac-sha256
      content: "{url}{body}"
      signature: {headers: [X-Signature], encoding: hex}
      dedupe: none
    secrets: [a-secret-for-tests]
`
	for _, test := range []struct {
		name, proxy, more string
		headers           []string
		url               string // HOST stands for the socket's own address
	}{
		{"as it was asked for", "192.0.2.1", "", nil, "http://HOST/webhooks/a?x=1"},
		{"behind a proxy", "127.0.0.1", "", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "hooks.example.com"}, "https://hooks.example.com/webhooks/a?x=1"},
		{"behind one that writes Forwarded", "127.0.0.1", "", []string{"Forwarded", "for=192.0.2.1;proto=https;host=hooks.example.com"}, "https://hooks.example.com/webhooks/a?x=1"},
		{"a stranger's headers change nothing", "192.0.2.1", "", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "hooks.example.com"}, "http://HOST/webhooks/a?x=1"},
		{"as it is configured", "127.0.0.1", "    url: https://example.com/in\n", []string{"X-Forwarded-Host", "hooks.example.com"}, "https://example.com/in?x=1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := openDoor(t, "trusted_proxies: ["+test.proxy+"]\n"+profile+test.more)
			mac := hmac.New(sha256.New, []byte("a-secret-for-tests"))
			mac.Write([]byte(strings.Replace(test.url, "HOST", w.addr, 1) + "{}"))
			headers := append(test.headers, "X-Signature", hex.EncodeToString(mac.Sum(nil)))
			require.Equal(t, http.StatusOK, w.post(t, "a?x=1", "{}", headers...).status)
		})
	}
}
