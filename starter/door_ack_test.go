package starter_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// signTwilio signs a form as Twilio does: the address, then each name and value.
func signTwilio(address, form, token string) string {
	values, _ := url.ParseQuery(form)
	text := address
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text += name + values.Get(name)
	}
	m := hmac.New(sha1.New, []byte(token))
	_, _ = m.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// Twilio plays or sends what it is answered, and Discord shows it: the answer is the
// preset's, and where the source says ack, the source's.
func TestSendersHearTheAnswerThatTheyTakeForInstructions(t *testing.T) {
	const address = "https://hooks.example.com/t"
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	const twiml = `<Response><Message>We have it.</Message></Response>`
	w, _ := openFake(t, yaml("",
		doorSource("sms", "twilio", goodSecret, "url: "+address),
		doorSource("answering", "twilio", goodSecret, "url: "+address, `ack: {body: "`+twiml+`", content_type: text/xml}`),
		doorSource("bot", "discord", hex.EncodeToString(public)),
		doorSource("speaking", "discord", hex.EncodeToString(public), `ack: {body: '{"type":4,"data":{"content":"We have it."}}'}`),
	))
	const form = "MessageSid=SM1&MessageStatus=delivered&Body=a+b"
	for source, want := range map[string]string{"sms": "<Response></Response>", "answering": twiml} {
		r := w.post(t, source, form, "X-Twilio-Signature", signTwilio(address, form, goodSecret), "Content-Type", "application/x-www-form-urlencoded")
		require.Equal(t, http.StatusOK, r.status, r.body)
		require.Equal(t, want, r.body)
		require.Equal(t, "text/xml", r.header.Get("Content-Type"))
		again := w.post(t, source, form, "X-Twilio-Signature", signTwilio(address, form, goodSecret), "Content-Type", "application/x-www-form-urlencoded")
		require.Equal(t, want, again.body, "a repeat is answered as the first")
	}
	for kind, want := range map[string][2]string{
		"2": {`{"type":5}`, `{"type":4,"data":{"content":"We have it."}}`},
		"3": {`{"type":6}`, `{"type":4,"data":{"content":"We have it."}}`},
		"4": {`{"type":8,"data":{"choices":[]}}`, `{"type":4,"data":{"content":"We have it."}}`},
		"5": {`{"type":5}`, `{"type":4,"data":{"content":"We have it."}}`},
		"1": {`{"type":1}`, `{"type":1}`}, // The handshake is the sender's, whatever the source says.
	} {
		for i, source := range []string{"bot", "speaking"} {
			body := fmt.Sprintf(`{"id":%q,"type":%s}`, kind+source, kind)
			at := unix(w.now.time())
			r := w.post(t, source, body, "X-Signature-Timestamp", at,
				"X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(private, []byte(at+body))))
			require.Equal(t, http.StatusOK, r.status, r.body)
			require.Equal(t, want[i], strings.TrimSpace(r.body), source)
			require.Equal(t, "application/json", r.header.Get("Content-Type"))
		}
	}
}

// A request that anybody could have signed shows a key, and the log must not have the owner
// trust it.
func TestNobodyIsAdvisedToTrustAStrangersKey(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("notion", "notion", goodSecret)))
	const body = `{"verification_token":"secret_of_a_stranger"}`
	m := hmac.New(sha256.New, []byte("secret_of_a_stranger"))
	_, _ = m.Write([]byte(body))
	r := w.post(t, "notion", body, "X-Notion-Signature", "sha256="+hex.EncodeToString(m.Sum(nil)))
	require.Equal(t, http.StatusOK, r.status)
	require.Equal(t, "{}", r.body)
	said := w.logs.FilterMessage("a sender has told something that the source's owner must know").All()
	require.Len(t, said, 1)
	note, ok := said[0].ContextMap()["note"].(string)
	require.True(t, ok)
	require.Contains(t, note, "a request that anyone could have made")
	require.Contains(t, note, "only when the sender has accepted it")
	event := `{"type":"page.created","id":"1"}`
	m = hmac.New(sha256.New, []byte("secret_of_a_stranger"))
	_, _ = m.Write([]byte(event))
	w.post(t, "notion", event, "X-Notion-Signature", "sha256="+hex.EncodeToString(m.Sum(nil))).refused(t, http.StatusUnauthorized, "Invalid signature")
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
}
