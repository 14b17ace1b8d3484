package verify_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

// A form that holds JSON in its field payload has the attributes of that JSON, whatever a
// stranger makes of its Content-Type.
func TestAttributesAreReadFromThePayloadOfAForm(t *testing.T) {
	p := verify.Profile{
		Algorithm: "hmac-sha256", Signature: verify.Signature{Headers: []string{"X-Sig"}}, Body: "multi", Dedupe: "id",
		Identity: verify.Identity{Type: "body:action", ID: "body:id", Subject: "body:about.name"},
	}
	v, err := p.Compile(nil)
	require.NoError(t, err)
	event := `{"action":"opened","id":"7","about":{"name":"a & b"}}`
	form := url.Values{"payload": {event}, "other": {"{}"}}.Encode()
	for _, kind := range []string{"application/x-www-form-urlencoded", "", "text/plain", "application/json; charset=utf-8"} {
		for _, body := range []string{form, event, "\ufeff" + event} {
			r := &verify.Request{Header: verify.HTTPHeader{"Content-Type": {kind}}, Body: []byte(body)}
			require.Equal(t, verify.Event{Type: "opened", ID: "7", Subject: "a & b"}, v.Identify(r), kind)
			require.Equal(t, "7", v.Distinguish(r).ID, kind)
		}
	}
	twice := &verify.Request{Header: verify.HTTPHeader{}, Body: []byte(form + "&payload={}")}
	require.Empty(t, v.Distinguish(twice).ID, "which of them counts is open")
	require.Equal(t, string(twice.Body), string(v.Distinguish(twice).Bytes))
}

// A byte order mark says as little as white space does: it is no reason to refuse a body
// that must be JSON for the law's sake.
func TestAByteOrderMarkBeforeABodyThatMustBeJSON(t *testing.T) {
	p := verify.Profile{Algorithm: "sha256", Content: "{secret}{body}", Signature: verify.Signature{Headers: []string{"X-Sig"}}}
	v, err := p.Compile(nil)
	require.NoError(t, err)
	secret := verify.Secret{Value: "a-secret-of-the-tests"}
	judge := func(body string) error {
		r := &verify.Request{Method: "POST", Header: verify.HTTPHeader{}, Body: []byte(body)}
		signed, err := v.Sign(r, secret, verify.Options{}.Instant())
		require.NoError(t, err)
		r.Header = verify.HTTPHeader{"X-Sig": {signed.Headers[0].Value}}
		return v.Verify(r, []verify.Secret{secret}, verify.Options{})
	}
	require.NoError(t, judge("\ufeff{\"a\":1}"))
	require.NoError(t, judge("\ufeff \n[1]"))
	for _, bad := range []string{"\ufeff", "\ufeff1", "\ufeff\ufeff{}", "\ufeff{}1", " \ufeff{}", "\ufeff{"} {
		require.Error(t, judge(bad), "%q", bad)
	}
}
