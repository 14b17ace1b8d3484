package coded_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

// TestMandrill judges forms signed for one URL under one key, and attacks on them.
func TestMandrill(t *testing.T) {
	const url, body = "https://example.com/hook", "mandrill_events=%5B%7B%22_id%22%3A%22amandrill_eventsb%22%7D%5D"
	checker, err := coded.NewTestCoded(verify.Profile{Algorithm: "mandrill"})
	require.NoError(t, err)
	signed, err := checker.(verify.CodedSigner).Sign(codedRequest(url, body), verify.Secret{Value: "key"}, codedNow)
	require.NoError(t, err)
	signature := signed.Headers[0].Value
	for _, test := range []struct {
		name, url, body string
		want            verify.Reason
	}{
		{"as it was signed", url, body, ""},
		{"another URL", url + "/x", body, verify.SignatureMismatch},
		{"a byte of the body changed", url, body + "x", verify.SignatureMismatch},
		{"one value cut into two of the same key", url, "mandrill_events=%5B%7B%22_id%22%3A%22a&mandrill_events=b%22%7D%5D", verify.SignatureMismatch},
		{"a body that is no form", url, "a;b=%zz", verify.SignatureMismatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := codedRequest(test.url, test.body, "X-Mandrill-Signature", signature)
			requireReason(t, test.want, checker.Verify(request, secretsOf("old", "key"), verify.Options{}))
		})
	}
}
