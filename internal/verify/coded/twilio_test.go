package coded_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

const (
	twilioURL  = "https://mycompany.com/myapp.php?foo=1&bar=2"
	twilioForm = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
	twilioJSON = `{"property": "value", "boolean": true}`
	twilioHash = "&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
	twilioSig  = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
)

// TestTwilio judges requests whose signatures are those of Twilio's own suite (twilio-node,
// spec/validation.spec.js, token 12345), and attacks on them.
func TestTwilio(t *testing.T) {
	const form, json = "application/x-www-form-urlencoded", "application/json"
	for _, test := range []struct {
		name, url, body, media, signature string
		want                              verify.Reason
	}{
		{"an https URL signed with its standard port", twilioURL, twilioForm, form, "kvajT1Ptam85bY51eRf/AJRuM3w=", ""},
		{"an http URL signed with its standard port", "http://mycompany.com/myapp.php?foo=1&bar=2", twilioForm, form, "0ZXoZLH/DfblKGATFgpif+LLRf4=", ""},
		{"a URL with credentials signed with a port", "https://user:pass@mycompany.com/myapp.php?foo=1&bar=2", twilioForm, form, "ZQFR1PTIZXF2MXB8ZnKCvnnA+rI=", ""},
		{"several values of one key", twilioURL, "MessagingBinding.Address=%2B1325xxxxxxx&MessagingBinding.Address=%2B1415xxxxxxx", form, "83O6e2vORAoJHUNzJjDWN1jz+BA=", ""},
		{"several values in another order", twilioURL, "MessagingBinding.Address=%2B1415xxxxxxx&MessagingBinding.Address=%2B1325xxxxxxx", form, "83O6e2vORAoJHUNzJjDWN1jz+BA=", ""},
		{"a value that is there twice counts once", twilioURL, "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234", form, "IK+Dwps556ElfBT0I3Rgjkr1wJU=", ""},
		{"a form whose media type has a parameter", twilioURL, twilioForm, form + "; charset=UTF-8", twilioSig, ""},
		{"a JSON body that the URL covers", twilioURL + twilioHash, twilioJSON, json, "a9nBmqA0ju/hNViExpshrM61xv4=", ""},
		{"a JSON body changed under a good URL", twilioURL + twilioHash, twilioJSON + " ", json, "a9nBmqA0ju/hNViExpshrM61xv4=", verify.BodyHashMismatch},
		{"the body's hash without its last digit", (twilioURL + twilioHash)[:len(twilioURL+twilioHash)-1], twilioJSON, json, "a9nBmqA0ju/hNViExpshrM61xv4=", verify.SignatureMismatch},
		{"a JSON body that nothing covers", twilioURL, twilioJSON, json, "zYQTYrRWXE7LtzbG4PfP7/bkkGo=", verify.BodyHashMismatch},
		{"a form that calls itself JSON", twilioURL, twilioForm, json, twilioSig, verify.SignatureMismatch},
		{"a body of no type", twilioURL, twilioForm, "", twilioSig, verify.SignatureMismatch},
		{"a form that cannot be read", twilioURL, "a=%zz", form, twilioSig, verify.SignatureMismatch},
		{"a field added", twilioURL, twilioForm + "&Z=1", form, twilioSig, verify.SignatureMismatch},
		{"another host", "https://mycompany.com.evil.example/myapp.php?foo=1&bar=2", twilioForm, form, twilioSig, verify.SignatureMismatch},
		{"a signature of 19 bytes", twilioURL, twilioForm, form, "AAAAAAAAAAAAAAAAAAAAAAAAAA==", verify.MalformedSignature},
		{"a signature with a line break", twilioURL, twilioForm, form, "RSOYDt4T1cUTdK1P\nDd93/VVr8B8=", verify.MalformedSignature},
		{"a signature in hex", twilioURL, twilioForm, form, "4523980ede13d5c51374ad4f0ddf77fd556bf01f", verify.MalformedSignature},
		{"an empty signature", twilioURL, twilioForm, form, " ", verify.MissingSignature},
		{"no public URL", "", twilioForm, form, twilioSig, verify.SignatureMismatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(verify.Profile{Algorithm: "twilio"})
			require.NoError(t, err)
			request := codedRequest(test.url, test.body, "X-Twilio-Signature", test.signature, "Content-Type", test.media)
			requireReason(t, test.want, checker.Verify(request, secretsOf("12345"), verify.Options{Now: codedNow}))
		})
	}
}

// TestTwilioSecretsAndHeaders checks rotation, empty secrets and doubled headers.
func TestTwilioSecretsAndHeaders(t *testing.T) {
	checker, err := coded.NewTestCoded(verify.Profile{Algorithm: "twilio"})
	require.NoError(t, err)
	headers := []string{"Content-Type", "application/x-www-form-urlencoded", "X-Twilio-Signature", twilioSig}
	request := codedRequest(twilioURL, twilioForm, headers...)
	doubled := codedRequest(twilioURL, twilioForm, append(headers, "X-Twilio-Signature", twilioSig)...)
	expired := []verify.Secret{{Value: "12345", Until: codedNow}}
	for _, test := range []struct {
		name    string
		request *verify.Request
		secrets []verify.Secret
		want    verify.Reason
	}{
		{"the second secret fits", request, secretsOf("new", "12345"), ""},
		{"an empty secret beside a good one", request, secretsOf("", "12345"), ""},
		{"no secret", request, nil, verify.EmptySecret},
		{"an empty secret alone", request, secretsOf(""), verify.EmptySecret},
		{"a secret whose time is over", request, expired, verify.EmptySecret},
		{"a wrong secret", request, secretsOf("12346"), verify.SignatureMismatch},
		{"the signature header twice", doubled, secretsOf("12345"), verify.MalformedSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			requireReason(t, test.want, checker.Verify(test.request, test.secrets, verify.Options{Now: codedNow}))
		})
	}
}

// TestFormSignersRoundTrip signs as the sender would and verifies.
func TestFormSignersRoundTrip(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for _, test := range []struct{ name, algorithm, url, body, media string }{
		{"a Twilio form", "twilio", twilioURL, twilioForm, form},
		{"a Twilio GET", "twilio", twilioURL, "", ""},
		{"a Twilio JSON body, URL with a query", "twilio", twilioURL, twilioJSON, "application/json"},
		{"a Twilio JSON body, URL without one", "twilio", "https://mycompany.com/", twilioJSON, "application/json"},
		{"a Mandrill form", "mandrill", "https://example.com/hook", "mandrill_events=%5B%5D", form},
	} {
		t.Run(test.name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(verify.Profile{Algorithm: test.algorithm})
			require.NoError(t, err)
			request := codedRequest(test.url, test.body, "Content-Type", test.media)
			signed, err := checker.(verify.CodedSigner).Sign(request, verify.Secret{Value: "s3cret"}, codedNow)
			require.NoError(t, err)
			if signed.URL != "" {
				test.url = signed.URL
			}
			request = codedRequest(test.url, test.body, "Content-Type", test.media, signed.Headers[0].Name, signed.Headers[0].Value)
			require.NoError(t, checker.Verify(request, secretsOf("s3cret"), verify.Options{}))
			requireReason(t, verify.SignatureMismatch, checker.Verify(request, secretsOf("other"), verify.Options{}))
		})
	}
}

// TestPortVariants checks the spellings of a URL that are tried.
func TestPortVariants(t *testing.T) {
	for _, test := range []struct {
		name, url string
		want      []string
	}{
		{"https without a port", "https://h/p?q", []string{"https://h/p?q", "https://h:443/p?q"}},
		{"http without a port", "http://h", []string{"http://h", "http://h:80"}},
		{"a port is taken away", "https://h:8443/p", []string{"https://h:8443/p", "https://h/p"}},
		{"a password with a colon is no port", "https://u:p@h/", []string{"https://u:p@h/", "https://u:p@h:443/"}},
		{"an IPv6 address without a port", "https://[::1]/", []string{"https://[::1]/", "https://[::1]:443/"}},
		{"an IPv6 address with a port", "https://[::1]:1/", []string{"https://[::1]:1/", "https://[::1]/"}},
		{"a port in the query is none", "https://h?u=http://x:1", []string{"https://h?u=http://x:1", "https://h:443?u=http://x:1"}},
		{"no URL", "h:1", []string{"h:1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, coded.PortVariants(test.url))
		})
	}
}
