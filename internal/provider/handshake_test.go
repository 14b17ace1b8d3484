package provider_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

// TestHandshakesOfEverySender asks as each sender does. Signed ones are signed,
// verified and then answered; without a signature they get no answer.
func TestHandshakesOfEverySender(t *testing.T) {
	for _, c := range []struct {
		preset, name, method, query, body string
		headers                           map[string]string
		signed                            bool
		status                            int
		contentType, answer               string
	}{
		{"zoom", "url_validation", "POST", "", `{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}`, nil, true, 200, "application/json", ""},
		{"slack", "url_verification", "POST", "", `{"type":"url_verification","challenge":"abc"}`, nil, true, 200, "text/plain", "abc"},
		{"twitch", "callback_verification", "POST", "", `{"challenge":"abc"}`, map[string]string{"Twitch-Eventsub-Message-Type": "webhook_callback_verification"}, true, 200, "text/plain", "abc"},
		{"discord", "ping", "POST", "", `{"type":1}`, nil, true, 200, "application/json", `{"type":1}`},
		{"discord", "event_ping", "POST", "", `{"type":0}`, nil, true, 204, "", ""},
		{"discord-events", "ping", "POST", "", `{"type":0}`, nil, true, 204, "", ""},
		{"meta", "subscribe", "GET", "hub.mode=subscribe&hub.verify_token=example&hub.challenge=1158201444", "", nil, false, 200, "text/plain", "1158201444"},
		{"x", "crc", "GET", "crc_token=abc", "", nil, false, 200, "application/json", ""},
		{"okta", "verification", "GET", "", "", map[string]string{"X-Okta-Verification-Challenge": "abc"}, false, 200, "application/json", `{"verification":"abc"}`},
		{"dropbox", "challenge", "GET", "challenge=abc", "", nil, false, 200, "text/plain", "abc"},
		{"microsoft-graph", "validation", "POST", "validationToken=Validation%3A+abc", "", nil, false, 200, "text/plain", "Validation: abc"},
		{"microsoft-graph-rich", "validation", "POST", "validationToken=abc", "", nil, false, 200, "text/plain", "abc"},
		{"cloudevents", "abuse_protection", "OPTIONS", "", "", map[string]string{"WebHook-Request-Origin": "e.example.com"}, false, 200, "", ""},
		{"woocommerce", "creation_ping", "POST", "", "webhook_id=7", nil, false, 200, "", ""},
		{"mandrill", "probe", "HEAD", "", "", nil, false, 200, "", ""},
		{"intercom", "probe", "HEAD", "", "", nil, false, 200, "", ""},
	} {
		t.Run(c.preset+"/"+c.name, func(t *testing.T) {
			b := newBench(t, c.preset)
			b.sample.Headers, b.sample.Body, b.sample.Method = c.headers, []byte(c.body), c.method
			r := request(b.sample)
			secrets := []verify.Secret{{Value: "example"}}
			phase := verify.Unsigned
			if c.signed {
				require.Nil(t, handshake(t, b, r, verify.Unsigned, secrets), "an unsigned request gets no answer")
				r, _ = b.signed(t, b.now)
				secrets, phase = []verify.Secret{{Value: b.key.Verifies}}, verify.Signed
				require.NoError(t, b.verify(r, b.key.Verifies))
			}
			r.Query = c.query
			require.True(t, b.v.Allows(r.Method))
			a := handshake(t, b, r, phase, secrets)
			require.NotNil(t, a)
			require.Nil(t, a.Refused)
			require.Equal(t, c.name, a.Name)
			require.Equal(t, c.status, a.Status)
			require.Equal(t, c.contentType, a.ContentType)
			require.Equal(t, "nosniff", a.Headers["X-Content-Type-Options"])
			if c.answer != "" {
				require.Equal(t, c.answer, string(a.Body))
			}
		})
	}
}

func handshake(t *testing.T, b *bench, r *verify.Request, ph verify.Phase, secrets []verify.Secret) *verify.Answer {
	t.Helper()
	a, err := b.v.Handshake(r, secrets, ph, verify.Options{Now: b.now})
	require.NoError(t, err)
	return a
}

func TestCloudEventsPreflightGrantsWhatWasAsked(t *testing.T) {
	b := newBench(t, "cloudevents")
	r := &verify.Request{Method: http.MethodOptions, Header: verify.HTTPHeader{"Webhook-Request-Origin": {"e.example.com"}}}
	a := handshake(t, b, r, verify.Unsigned, nil)
	require.Equal(t, "POST", a.Headers["Allow"])
	require.Equal(t, "e.example.com", a.Headers["WebHook-Allowed-Origin"])
	require.Equal(t, "*", a.Headers["WebHook-Allowed-Rate"])
}

func TestAnEventIsNoHandshake(t *testing.T) {
	for _, preset := range []string{"zoom", "slack", "discord", "notion", "woocommerce", "microsoft-graph", "twitch"} {
		b := newBench(t, preset)
		r, _ := b.signed(t, b.now)
		secrets := []verify.Secret{{Value: b.key.Verifies}}
		require.Nil(t, handshake(t, b, r, verify.Unsigned, secrets), preset)
		require.Nil(t, handshake(t, b, r, verify.Signed, secrets), preset)
	}
}

func TestAQQBotsValidationIsSignedWithItsKey(t *testing.T) {
	b := newBench(t, "qqbot")
	b.sample.Body = []byte(`{"op":13,"d":{"plain_token":"Arq0D5A61EgUu4OxUvOp","event_ts":"1725442341"}}`)
	r, _ := b.signed(t, b.now)
	a := handshake(t, b, r, verify.Signed, []verify.Secret{{Value: b.key.Verifies}})
	var answer struct {
		PlainToken string `json:"plain_token"`
		Signature  string `json:"signature"`
	}
	require.NoError(t, json.Unmarshal(a.Body, &answer))
	require.Equal(t, "Arq0D5A61EgUu4OxUvOp", answer.PlainToken)
	sig, err := hex.DecodeString(answer.Signature)
	require.NoError(t, err)
	public := ed25519.NewKeyFromSeed([]byte(b.key.Signs)[:32]).Public().(ed25519.PublicKey)
	require.True(t, ed25519.Verify(public, []byte("1725442341Arq0D5A61EgUu4OxUvOp"), sig))
}
