package starter_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func validation(token string) string {
	text, _ := json.Marshal(token)
	return `{"payload":{"plainToken":` + string(text) + `},"event_ts":1687276800000,"event":"endpoint.url_validation"}`
}

func TestZoomValidatesTheURL(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("zoom", "zoom", "a-newer-secret-for-the-tests, "+goodSecret)))
	t.Run("a signed challenge is answered with its HMAC under the secret that signed it", func(t *testing.T) {
		r := w.zoom(t, validation("qgg8vlvZRS6UYooatFL8Aw"))
		require.Equal(t, http.StatusOK, r.status)
		require.Equal(t, `{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"`+hexMAC(goodSecret, "qgg8vlvZRS6UYooatFL8Aw")+`"}`, r.body)
		require.Equal(t, "application/json", r.header.Get("Content-Type"))
		require.Equal(t, "nosniff", r.header.Get("X-Content-Type-Options"))
	})
	t.Run("a challenge of 256 characters is", func(t *testing.T) {
		require.Equal(t, http.StatusOK, w.zoom(t, validation(strings.Repeat("a", 256))).status)
	})
	for name, token := range map[string]string{
		"that is an event to be signed": "v0:" + unix(w.now.time()) + ":" + meeting("1"),
		"that begins like one":          "v0:1:x", "that is empty": "", "of 257 characters": strings.Repeat("a", 257),
		"with a space": "a b", "with a line break": "a\nb", "with a quote": `a"b`, "with HTML": "<script>", "beyond ASCII": "ü",
		"with a slash": "a/b", "with a plus": "a+b", "with a NUL": "a\x00b",
	} {
		t.Run("a challenge "+name+" is not signed", func(t *testing.T) {
			w.zoom(t, validation(token)).refused(t, http.StatusBadRequest, "Invalid challenge")
		})
	}
	t.Run("a challenge that is no text, or is not there, is not signed", func(t *testing.T) {
		for _, body := range []string{
			`{"event":"endpoint.url_validation","payload":{"plainToken":{"a":1}}}`,
			`{"event":"endpoint.url_validation","payload":{"plainToken":["a"]}}`,
			`{"event":"endpoint.url_validation"}`,
		} {
			w.zoom(t, body).refused(t, http.StatusBadRequest, "Invalid challenge")
		}
	})
	t.Run("a forged one is refused", func(t *testing.T) {
		body := validation("abc")
		w.post(t, "zoom", body, signZoom(body, w.now.time(), otherSecret)...).refused(t, http.StatusUnauthorized, "Invalid signature")
		w.post(t, "zoom", body).refused(t, http.StatusUnauthorized, "Invalid signature")
		w.post(t, "zoom", body, signZoom(body, w.now.time().Add(-time.Hour), goodSecret)...).
			refused(t, http.StatusBadRequest, "Request timestamp too old")
	})
	starts, _, _ := engine.calls()
	require.Zero(t, starts, "none of them is an event")
}

func TestARefusedHandshakeIsCountedAsRefused(t *testing.T) {
	heard, with := listen()
	w, _ := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret)), with)
	w.zoom(t, validation("v0:1:x"))
	a := <-heard.heard
	require.True(t, a.Refused)
	require.Equal(t, "handshake-malformed-signature", a.Outcome)
	w.zoom(t, validation("abc"))
	a = <-heard.heard
	require.False(t, a.Refused)
	require.Equal(t, "handshake", a.Outcome)
}

func TestSlackHearsItsChallengeAsText(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSource("slack", "slack", goodSecret)))
	sign := func(body string) []string {
		at := unix(w.now.time())
		return []string{"X-Slack-Signature", "v0=" + hexMAC(goodSecret, "v0:"+at+":"+body), "X-Slack-Request-Timestamp", at, "Content-Type", "application/json"}
	}
	for _, challenge := range []string{"3eZbrw1aB", "<script>alert(1)</script>", "a\r\nSet-Cookie: b=c\r\n\r\n<html>", "ü"} {
		body, err := json.Marshal(map[string]string{"type": "url_verification", "challenge": challenge})
		require.NoError(t, err)
		r := w.post(t, "slack", string(body), sign(string(body))...)
		require.Equal(t, http.StatusOK, r.status)
		require.Equal(t, challenge, r.body)
		require.True(t, strings.HasPrefix(r.header.Get("Content-Type"), "text/plain"))
		require.Equal(t, "nosniff", r.header.Get("X-Content-Type-Options"))
		require.Empty(t, r.header.Get("Set-Cookie"))
	}
	body := `{"type":"url_verification","challenge":"` + strings.Repeat("x", 5000) + `"}`
	w.post(t, "slack", body, sign(body)...).refused(t, http.StatusBadRequest, "Invalid challenge")
	w.post(t, "slack", `{"type":"url_verification","challenge":"a"}`).refused(t, http.StatusUnauthorized, "Invalid signature")
}

func TestUnsignedHandshakesEchoNothingDangerous(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("meta", "meta", "a-verify-token-for-tests", "params: {verify_token: a-verify-token-for-tests}"),
		doorSource("dropbox", "dropbox", goodSecret), doorSource("x", "x", goodSecret), doorSource("okta", "okta", goodSecret)))
	get := func(t *testing.T, path string, headers ...string) reply {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.addr+"/webhooks/"+path, nil)
		require.NoError(t, err)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		return do(t, req)
	}
	evil := url.QueryEscape("<script>alert(1)</script>\r\nX-Injected: 1")
	t.Run("a challenge of Dropbox is text", func(t *testing.T) {
		r := get(t, "dropbox?challenge="+evil)
		require.Equal(t, http.StatusOK, r.status)
		require.True(t, strings.HasPrefix(r.header.Get("Content-Type"), "text/plain"))
		require.Equal(t, "nosniff", r.header.Get("X-Content-Type-Options"))
		require.Empty(t, r.header.Get("X-Injected"))
	})
	t.Run("Meta shows its token first", func(t *testing.T) {
		require.Equal(t, http.StatusForbidden, get(t, "meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong").status)
		require.Equal(t, http.StatusForbidden, get(t, "meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token=").status)
		r := get(t, "meta?hub.mode=subscribe&hub.verify_token=a-verify-token-for-tests&hub.challenge="+evil)
		require.Equal(t, http.StatusOK, r.status)
		require.True(t, strings.HasPrefix(r.header.Get("Content-Type"), "text/plain"))
		require.Equal(t, "nosniff", r.header.Get("X-Content-Type-Options"))
	})
	t.Run("X signs nothing but a plain token", func(t *testing.T) {
		require.Equal(t, http.StatusOK, get(t, "x?crc_token=abc").status)
		for _, token := range []string{`{"tweet_create_events":[]}`, "v0:1:x", "a b", "a%00", strings.Repeat("a", 257)} {
			require.Equal(t, http.StatusBadRequest, get(t, "x?crc_token="+url.QueryEscape(token)).status, token)
		}
		require.Equal(t, http.StatusBadRequest, get(t, "x?crc_token=abc&crc_token=abc").status)
	})
	t.Run("Okta's challenge is inside JSON", func(t *testing.T) {
		r := get(t, "okta", "X-Okta-Verification-Challenge", `a"},{"b":"<i>`)
		require.Equal(t, "application/json", r.header.Get("Content-Type"))
		var answer map[string]string
		require.NoError(t, json.Unmarshal([]byte(r.body), &answer))
		require.Equal(t, map[string]string{"verification": `a"},{"b":"<i>`}, answer)
	})
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
}
