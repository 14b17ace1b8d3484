package verify_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

// withHandshake is a profile like Zoom's with one handshake.
func withHandshake(h verify.Handshake) verify.Profile {
	h.Name = "h"
	return verify.Profile{
		Algorithm: "hmac-sha256", Content: "v0:{timestamp}:{body}",
		Signature:  verify.Signature{Headers: []string{"X-Sig"}, Prefix: "v0="},
		Timestamp:  verify.Timestamp{From: "header:X-Time"},
		Handshakes: []verify.Handshake{h},
	}
}

func crc() verify.Profile {
	return withHandshake(verify.Handshake{
		Match: verify.Match{Method: "GET", Present: []string{"query:c"}}, Challenge: "query:c",
		Answer: verify.Reply{ContentType: "application/json", Body: `{"r":"{hmac:hex}","c":"{challenge}"}`},
	})
}

func echo() verify.Profile {
	return withHandshake(verify.Handshake{
		Match: verify.Match{Method: "GET"}, Challenge: "query:c",
		Answer: verify.Reply{ContentType: "text/plain", Body: "{challenge}"},
	})
}

func get(query string) *verify.Request {
	return &verify.Request{Method: http.MethodGet, URL: "https://example.com/?" + query, Query: query, Header: verify.HTTPHeader{}}
}

func ask(t *testing.T, p verify.Profile, r *verify.Request, ph verify.Phase, secrets []verify.Secret) *verify.Answer {
	t.Helper()
	a, err := reader(t, p).Handshake(r, secrets, ph, at())
	require.NoError(t, err)
	return a
}

func TestNoHandshakeSignsAMessageOfTheAskersChoice(t *testing.T) {
	for _, challenge := range []string{
		`v0:1700000000:{"event":"meeting.started"}`, "v0:1700000000:x", "{}", `{"a":1}`, "a b", "a:b", "a/b", "a\nb", "a,b", "é",
		strings.Repeat("a", 257), "%00",
	} {
		a := ask(t, crc(), get("c="+url.QueryEscape(challenge)), verify.Unsigned, one("k"))
		require.NotNil(t, a)
		require.Equal(t, 400, a.Status, challenge)
		require.NotNil(t, a.Refused)
		require.NotContains(t, string(a.Body), challenge)
		require.NotContains(t, string(a.Body), `"r"`)
	}
	a := ask(t, crc(), get("c=Az09_%3D.-"), verify.Unsigned, one("k"))
	require.Equal(t, 200, a.Status)
	require.Contains(t, string(a.Body), `"c":"Az09_=.-"`)
	require.Nil(t, a.Refused)
}

func TestAnEmptyChallengeIsNoHandshake(t *testing.T) {
	require.Nil(t, ask(t, crc(), get("c="), verify.Unsigned, one("k")))
	require.Nil(t, ask(t, crc(), get("other=1"), verify.Unsigned, one("k")))
}

func TestADoubledChallengeIsRefused(t *testing.T) {
	require.Equal(t, 400, ask(t, echo(), get("c=1&c=2"), verify.Unsigned, one("k")).Status)
}

func TestAnAnswerNeedsASecretToSignWith(t *testing.T) {
	a := ask(t, crc(), get("c=x"), verify.Unsigned, one(""))
	require.Equal(t, 503, a.Status)
	require.Equal(t, verify.EmptySecret, a.Refused.Reason)
}

func TestAnEchoedChallengeIsPlainTextThatNoBrowserSniffs(t *testing.T) {
	a := ask(t, echo(), get("c="+url.QueryEscape("<script>alert(1)</script>")), verify.Unsigned, nil)
	require.Equal(t, "text/plain", a.ContentType)
	require.Equal(t, "nosniff", a.Headers["X-Content-Type-Options"])
	require.Equal(t, "<script>alert(1)</script>", string(a.Body))
	require.Equal(t, 400, ask(t, echo(), get("c="+strings.Repeat("a", 5000)), verify.Unsigned, nil).Status)
}

func TestATextInAJSONAnswerIsEscaped(t *testing.T) {
	p := withHandshake(verify.Handshake{
		Match: verify.Match{Method: "GET"}, Challenge: "query:c",
		Answer: verify.Reply{ContentType: "application/json", Body: `{"v":"{challenge}"}`},
	})
	a := ask(t, p, get("c="+url.QueryEscape("a\"},\n\"b\\")), verify.Unsigned, nil)
	require.JSONEq(t, `{"v":"a\"},\n\"b\\"}`, string(a.Body))
}

func TestAnEchoedHeaderCannotBeSplit(t *testing.T) {
	p := withHandshake(verify.Handshake{
		Match:  verify.Match{Method: "OPTIONS", Present: []string{"header:Origin-Asked"}},
		Answer: verify.Reply{Headers: map[string]string{"Origin-Given": "{header:Origin-Asked}"}},
	})
	for _, origin := range []string{"a.example\r\nSet-Cookie: x", "a\x00b", "<b>", "é"} {
		r := post("", "Origin-Asked", origin)
		r.Method = "OPTIONS"
		require.Equal(t, 400, ask(t, p, r, verify.Unsigned, nil).Status)
	}
	r := post("", "Origin-Asked", "events.example.com")
	r.Method = "OPTIONS"
	require.Equal(t, "events.example.com", ask(t, p, r, verify.Unsigned, nil).Headers["Origin-Given"])
}

func TestPhasesAreKeptApart(t *testing.T) {
	p := withHandshake(verify.Handshake{
		Signed: true, Match: verify.Match{Equals: map[string]string{"body:event": "validate"}}, Challenge: "body:token",
		Answer: verify.Reply{ContentType: "application/json", Body: `{"e":"{hmac:hex}"}`},
	})
	v := reader(t, p)
	secrets := []verify.Secret{{Value: "new"}, {Value: "old"}}
	r := sign(t, v, post(`{"event":"validate","token":"abc"}`), secrets[1])
	require.Nil(t, ask(t, p, r, verify.Unsigned, secrets))
	a := ask(t, p, r, verify.Signed, secrets)
	// printf abc | openssl dgst -sha256 -hmac old
	require.JSONEq(t, `{"e":"05406d26879cac397e741249a82d04a12569fb63c2c7b0b33cf77b9d227f9c7e"}`, string(a.Body), "the secret that vouched for the request signs the answer")
	require.Nil(t, ask(t, p, post(`{"event":"other","token":"abc"}`), verify.Signed, secrets))
}

func TestSubscriptionTokens(t *testing.T) {
	p := withHandshake(verify.Handshake{
		Match: verify.Match{Method: "GET"}, Token: "query:t", Expect: "param:verify_token", Challenge: "query:c",
		Answer: verify.Reply{ContentType: "text/plain", Body: "{challenge}"},
	})
	p.Settings = []verify.Setting{{Name: "verify_token", Doc: "the token"}}
	require.Equal(t, 200, ask(t, p, get("c=1&t=k"), verify.Unsigned, one("k")).Status)
	require.Equal(t, 403, ask(t, p, get("c=1&t=x"), verify.Unsigned, one("k")).Status)
	require.Equal(t, 403, ask(t, p, get("c=1"), verify.Unsigned, one("k")).Status)
	require.Equal(t, 403, ask(t, p, get("c=1&t="), verify.Unsigned, one("")).Status)
	p.Params = map[string]string{"verify_token": "vt"}
	require.Equal(t, 200, ask(t, p, get("c=1&t=vt"), verify.Unsigned, one("k")).Status)
	require.Equal(t, 403, ask(t, p, get("c=1&t=k"), verify.Unsigned, one("k")).Status, "a token of its own replaces the secrets")
}

func TestAKeyThatCameWithTheRequestIsShownAndNotTrusted(t *testing.T) {
	p := bodySigned()
	p.Handshakes = []verify.Handshake{{
		Name: "verification", Match: verify.Match{Present: []string{"body:verification_token"}},
		SelfSigned: "body:verification_token", Answer: verify.Reply{Body: "{}"},
	}}
	v := reader(t, p)
	r := sign(t, v, post(`{"verification_token":"secret_abc"}`), verify.Secret{Value: "secret_abc"})
	a := ask(t, p, r, verify.Unsigned, nil)
	require.Equal(t, 200, a.Status)
	require.Contains(t, a.Note, "secret_abc")
	require.Error(t, v.Verify(r, one("another"), at()), "the request itself stays refused")
	forged := post(`{"verification_token":"secret_abc"}`, "X-Signature", strings.Repeat("00", 32))
	require.Nil(t, ask(t, p, forged, verify.Unsigned, nil))
	loud := `{"verification_token":"x\u001b[31m"}`
	require.Nil(t, ask(t, p, sign(t, v, post(loud), verify.Secret{Value: "x\x1b[31m"}), verify.Unsigned, nil), "nothing of a log's controls is shown")
}
