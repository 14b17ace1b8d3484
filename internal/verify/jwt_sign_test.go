package verify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

// TestJWTSignRoundTrip signs as the sender would and verifies, then elsewhere and later.
func TestJWTSignRoundTrip(t *testing.T) {
	for _, test := range []struct {
		name    string
		profile verify.Profile
	}{
		{"claims of every kind", hsProfile("HS512")},
		{"digests of URL and body", messageBird()},
	} {
		t.Run(test.name, func(t *testing.T) {
			coded, err := verify.NewTestCoded(test.profile)
			require.NoError(t, err)
			signed, err := coded.(verify.CodedSigner).Sign(codedRequest("https://x/y", "b"), verify.Secret{Value: "s"}, codedNow)
			require.NoError(t, err)
			request := codedRequest("https://x/y", "b", signed.Headers[0].Name, signed.Headers[0].Value)
			require.NoError(t, coded.Verify(request, secretsOf("s"), verify.Options{Now: codedNow}))
			requireReason(t, verify.Expired, coded.Verify(request, secretsOf("s"), verify.Options{Now: codedNow.Add(time.Hour)}))
			content, err := coded.(verify.CodedContent).Content(request)
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(content), "."))
			if test.profile.JWT.URLHash != "" {
				request.URL += "z"
				requireReason(t, verify.ClaimMismatch, coded.Verify(request, secretsOf("s"), verify.Options{Now: codedNow}))
			}
		})
	}
}

// TestJWTSignNeedsTheSecret refuses to sign where only the sender can.
func TestJWTSignNeedsTheSecret(t *testing.T) {
	for name, profile := range map[string]verify.Profile{"a key set": jwksProfile("RS256"), "tokens in the body": graphProfile()} {
		t.Run(name, func(t *testing.T) {
			coded, err := verify.NewTestCoded(profile)
			require.NoError(t, err)
			_, err = coded.(verify.CodedSigner).Sign(codedRequest("", ""), verify.Secret{Value: "s"}, codedNow)
			require.ErrorContains(t, err, "private key")
		})
	}
}

// TestJWTInTheQuery takes one token from the URL's query.
func TestJWTInTheQuery(t *testing.T) {
	profile := hsProfile("HS256")
	profile.JWT.From = "query:jwt"
	coded, err := verify.NewTestCoded(profile)
	require.NoError(t, err)
	good := "jwt=" + token(t, jose.HS256, []byte(hsSecret), goodClaims())
	for _, test := range []struct {
		name, query string
		want        verify.Reason
	}{
		{"one token", "a=b&" + good, ""},
		{"two tokens", good + "&" + good, verify.MissingSignature},
		{"no token", "a=b", verify.MissingSignature},
		{"a query that cannot be read", good + "&%zz", verify.MissingSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := codedRequest("", "")
			request.Query = test.query
			requireReason(t, test.want, coded.Verify(request, secretsOf(hsSecret), verify.Options{Now: codedNow}))
		})
	}
}

// TestJWTWithoutATime judges by the present: the validity of a token is never turned off.
func TestJWTWithoutATime(t *testing.T) {
	coded, err := verify.NewTestCoded(hsProfile("HS256"))
	require.NoError(t, err)
	off := -time.Second
	expired := token(t, jose.HS256, []byte(hsSecret), goodClaims("iat", 1, "exp", 2))
	request := codedRequest("", "", "Authorization", expired)
	requireReason(t, verify.Expired, coded.Verify(request, secretsOf(hsSecret), verify.Options{Tolerance: &off}))
}

// TestCodedContent shows what is signed.
func TestCodedContent(t *testing.T) {
	s := signer{key: newRSA(t, 1024)}
	for _, test := range []struct{ name, algorithm, body, want string }{
		{"SNS", "sns", s.sign(t, snsFields("Notification", "Message", "m")), "Message\nm\nMessageId\nid-1\nTimestamp\n2026-03-07T12:00:00Z\nTopicArn\n" + snsTopic + "\nType\nNotification\n"},
		{"Adyen", "adyen", adyenBody(adyenItem("p")), "p::M:r:1000:EUR:AUTHORISATION:true"},
		{"Mandrill", "mandrill", "b=2&a=1", "https://x/a1b2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			coded, err := verify.NewTestCoded(verify.Profile{Algorithm: test.algorithm})
			require.NoError(t, err)
			content, err := coded.(verify.CodedContent).Content(codedRequest("https://x/", test.body))
			require.NoError(t, err)
			require.Equal(t, test.want, string(content))
		})
	}
}
