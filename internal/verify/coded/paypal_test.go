package coded_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

const (
	paypalName    = "messageverificationcerts.paypal.com"
	paypalSandbox = "messageverificationcerts.sandbox.paypal.com"
	paypalCert    = "https://api.paypal.com/v1/notifications/certs/CERT-1"
	paypalBody    = `{"id":"WH-1","event_type":"PAYMENT.SALE.COMPLETED"}`
)

// paypalRequest signs a delivery for the webhook W as PayPal does; changes are headers in turn, an
// empty value takes one away.
func (s signer) paypalRequest(t *testing.T, body string, changes ...string) *verify.Request {
	t.Helper()
	at := codedNow.Format(time.RFC3339)
	content := fmt.Sprintf("T1|%s|W|%d", at, crc32.ChecksumIEEE([]byte(paypalBody)))
	digest := sha256.Sum256([]byte(content))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	require.NoError(t, err)
	headers := map[string]string{
		"PAYPAL-TRANSMISSION-ID": "T1", "PAYPAL-TRANSMISSION-TIME": at, "PAYPAL-CERT-URL": paypalCert,
		"PAYPAL-AUTH-ALGO": "SHA256withRSA", "PAYPAL-TRANSMISSION-SIG": base64.StdEncoding.EncodeToString(signature),
	}
	for i := 0; i < len(changes); i += 2 {
		headers[changes[i]] = changes[i+1]
	}
	header := http.Header{}
	for name, value := range headers {
		if value != "" {
			header.Set(name, value)
		}
	}
	return &verify.Request{Method: http.MethodPost, Header: verify.HTTPHeader(header), Body: []byte(body)}
}

// TestPayPalRequests judges deliveries with the certificate pinned.
func TestPayPalRequests(t *testing.T) {
	s := newSigner(t, paypalName, time.Hour)
	for _, test := range []struct {
		name, header, value string
		want                verify.Reason
	}{
		{"as it was signed", "X-Other", "", ""},
		{"another host of the API", "PAYPAL-CERT-URL", "https://api-m.paypal.com/v1/notifications/certs/CERT-1", ""},
		{"no signature", "PAYPAL-TRANSMISSION-SIG", "", verify.MissingSignature},
		{"no id", "PAYPAL-TRANSMISSION-ID", "", verify.MissingID},
		{"no time", "PAYPAL-TRANSMISSION-TIME", "", verify.MissingTimestamp},
		{"no algorithm", "PAYPAL-AUTH-ALGO", "", verify.UnsupportedAlgorithm},
		{"no certificate", "PAYPAL-CERT-URL", "", verify.UntrustedCertificate},
		{"another id", "PAYPAL-TRANSMISSION-ID", "T2", verify.SignatureMismatch},
		{"the same time written otherwise", "PAYPAL-TRANSMISSION-TIME", "2026-03-07T12:00:00.0Z", verify.SignatureMismatch},
		{"a time that is none", "PAYPAL-TRANSMISSION-TIME", "now", verify.MalformedTimestamp},
		{"an algorithm of SHA-1", "PAYPAL-AUTH-ALGO", "SHA1withRSA", verify.UnsupportedAlgorithm},
		{"a signature that is not base64", "PAYPAL-TRANSMISSION-SIG", "**", verify.MalformedSignature},
		{"a longer host", "PAYPAL-CERT-URL", "https://api.paypal.com.evil.example/c", verify.UntrustedCertificate},
		{"a host under paypal.com that is not the API", "PAYPAL-CERT-URL", "https://pages.paypal.com/c", verify.UntrustedCertificate},
		{"a host that ends alike", "PAYPAL-CERT-URL", "https://evilapi.paypal.com/c", verify.UntrustedCertificate},
		{"no TLS", "PAYPAL-CERT-URL", "http://api.paypal.com/c", verify.UntrustedCertificate},
		{"a port", "PAYPAL-CERT-URL", "https://api.paypal.com:8443/c", verify.UntrustedCertificate},
		{"a user", "PAYPAL-CERT-URL", "https://api.paypal.com@evil.example/c", verify.UntrustedCertificate},
		{"a live certificate from the sandbox's host", "PAYPAL-CERT-URL", "https://api.sandbox.paypal.com/c", verify.UnknownKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(verify.Profile{Algorithm: "paypal"})
			require.NoError(t, err)
			options := verify.Options{Now: codedNow, Fetch: noFetch(t), Certificate: s.pem}
			request := s.paypalRequest(t, paypalBody, test.header, test.value)
			requireReason(t, test.want, checker.Verify(request, secretsOf("old", "W"), options))

			checker, err = coded.NewTestCoded(verify.Profile{Algorithm: "paypal", Params: map[string]string{"webhook_id": "W"}})
			require.NoError(t, err)
			requireReason(t, test.want, checker.Verify(request, nil, options))
		})
	}
}

// TestPayPalCertificates judges fetched certificates: their chain, their name and their time.
func TestPayPalCertificates(t *testing.T) {
	live, sandbox := newSigner(t, paypalName, time.Hour), newSigner(t, paypalSandbox, time.Hour)
	other, old := newSigner(t, "www.paypal.com", time.Hour), newSigner(t, paypalName, -time.Minute)
	for _, test := range []struct {
		name      string
		signer    signer
		roots     signer
		url, body string
		webhook   string
		want      verify.Reason
		hits      int64
	}{
		{"a chain to a root", live, live, paypalCert, paypalBody, "W", "", 1},
		{"the sandbox", sandbox, sandbox, "https://api.sandbox.paypal.com/v1/notifications/certs/C", paypalBody, "W", "", 1},
		{"a chain to another root", live, sandbox, paypalCert, paypalBody, "W", verify.UnknownKey, 1},
		{"another name", other, other, paypalCert, paypalBody, "W", verify.UnknownKey, 1},
		{"a certificate whose time is over", old, old, paypalCert, paypalBody, "W", verify.Expired, 1},
		{"another body", live, live, paypalCert, paypalBody + " ", "W", verify.SignatureMismatch, 1},
		{"another webhook", live, live, paypalCert, paypalBody, "V", verify.SignatureMismatch, 1},
		{"no webhook id", live, live, paypalCert, paypalBody, "", verify.EmptySecret, 0},
		{"an untrusted host", live, live, "https://evil.example/c", paypalBody, "W", verify.UntrustedCertificate, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := newRemote(t, serve(test.signer.pem))
			checker := coded.NewTestPayPal(test.roots.roots)
			request := test.signer.paypalRequest(t, test.body, "PAYPAL-CERT-URL", test.url)
			options := api.options()
			for range 2 { // The second time the certificate, or its refusal, is remembered.
				requireReason(t, test.want, checker.Verify(request, secretsOf(test.webhook), options))
			}
			require.Equal(t, test.hits, api.hits.Load())
		})
	}
}

// TestPayPalContent shows what is signed.
func TestPayPalContent(t *testing.T) {
	s := signer{key: newRSA(t, 1024)}
	checker, err := coded.NewTestCoded(verify.Profile{Algorithm: "paypal"})
	require.NoError(t, err)
	content, err := checker.Content(s.paypalRequest(t, paypalBody))
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(content, []byte("T1|2026-03-07T12:00:00Z|WEBHOOK-ID|")))
}
