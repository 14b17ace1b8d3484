package coded

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/grapnel/grapnel/internal/verify"
)

// paypal verifies the signature of PayPal's webhooks: RSA over the transmission's id and time,
// the webhook's id and the CRC32 of the body. A CRC32 is no protection: whoever has captured one
// delivery can make another body with the same CRC32. So an event is identified by what is
// signed. https://developer.paypal.com/api/rest/webhooks/rest/
type paypal struct {
	profile      verify.Profile
	certificates *certificateSource
}

// paypalName gives the name in the certificates of one of PayPal's API hosts, or "" for any other
// host.
func paypalName(host string) string {
	switch host {
	case "api.paypal.com", "api-m.paypal.com":
		return "messageverificationcerts.paypal.com"
	case "api.sandbox.paypal.com", "api-m.sandbox.paypal.com":
		return "messageverificationcerts.sandbox.paypal.com"
	default:
		return ""
	}
}

func paypalTraits(p verify.Profile) verify.Traits {
	return verify.Traits{
		Fetches: true, Public: true, Keyless: p.Params["webhook_id"] != "", Dated: true,
		Signs: "the transmission's id and time, the webhook's id and a checksum of the body",
	}
}

// newPayPal makes the verifier of the algorithm paypal. The webhook's id, as PayPal's dashboard
// shows it, is a secret of the source or its parameter webhook_id.
func newPayPal(p verify.Profile) (verify.Coded, error) { return newPayPalRoots(p, nil) }

// newPayPalRoots does what newPayPal does, with the roots to which a fetched chain must lead; nil
// stands for the system's.
func newPayPalRoots(p verify.Profile, roots *x509.CertPool) (verify.Coded, error) {
	judge := func(address string, chain []*x509.Certificate, fetched bool, now time.Time) error {
		parsed, err := httpsURL(address)
		if err != nil {
			return err
		}
		if want := paypalName(parsed.Host); chain[0].Subject.CommonName != want && chain[0].VerifyHostname(want) != nil {
			return errors.New("the certificate is not one of PayPal's message verification")
		}
		if !fetched {
			return nil
		}
		return buildChain(chain, roots, now)
	}
	return &paypal{profile: p, certificates: newCertificateSource(judge)}, nil
}

// buildChain checks that the first certificate leads to a root by way of the others.
func buildChain(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	intermediates := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

// Verify implements verify.Coded.
func (p *paypal) Verify(r *verify.Request, secrets []verify.Secret, o verify.Options) error {
	if id := p.profile.Params["webhook_id"]; id != "" {
		secrets = append(slices.Clone(secrets), verify.Secret{Value: id})
	}
	webhooks, err := activeKeys(secrets, o)
	if err != nil {
		return err
	}
	sent, err := readPayPal(r)
	if err != nil {
		return err
	}
	key, err := p.certificates.key(sent.certURL, o)
	if err != nil {
		return err
	}
	mismatch := error(verify.Refuse(verify.SignatureMismatch, "the signature fits none of the source's webhook ids"))
	for _, webhook := range webhooks {
		if mismatch = verifyRSA(key, crypto.SHA256, sent.content(webhook, r.Body), sent.signature); mismatch == nil {
			return judgeAge(p.profile, o, sent.at)
		}
	}
	return mismatch
}

// Covers implements verify.Coded. The body is not covered: four more bytes give any body the
// wanted checksum of 32 bits.
func (p *paypal) Covers(kind, name string) bool {
	return kind == "header" &&
		(strings.EqualFold(name, "PAYPAL-TRANSMISSION-ID") || strings.EqualFold(name, "PAYPAL-TRANSMISSION-TIME"))
}

// Content implements verify.Coded, with a place holder for the webhook's id.
func (p *paypal) Content(r *verify.Request) ([]byte, error) {
	sent, err := readPayPal(r)
	if err != nil {
		return nil, err
	}
	return sent.content("WEBHOOK-ID", r.Body), nil
}

// CheckSecret implements verify.CodedSecrets: the webhook's id is of letters and digits.
func (p *paypal) CheckSecret(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' }) {
		return errors.New("the secret is the webhook's ID, letters and digits alone, as PayPal's dashboard shows it")
	}
	return nil
}

// testCertificate has the form of PayPal's certificate addresses; PayPal has no such certificate.
const testCertificate = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-00000000-00000000"

// Sign implements verify.CodedSigner, with a private key in PEM. If the profile names no webhook
// id, the secret's key ID is used for it.
func (p *paypal) Sign(r *verify.Request, s verify.Secret, now time.Time) (verify.Additions, error) {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // Never fails.
	sent := paypalSent{id: hex.EncodeToString(id), time: now.UTC().Format(time.RFC3339)}
	webhook := p.profile.Params["webhook_id"]
	if webhook == "" {
		webhook = s.KeyID
	}
	signature, err := signRSA(s.Value, crypto.SHA256, sent.content(webhook, r.Body))
	if err != nil {
		return verify.Additions{}, err
	}
	return verify.Additions{Headers: []verify.HeaderLine{
		{Name: "Paypal-Transmission-Id", Value: sent.id},
		{Name: "Paypal-Transmission-Time", Value: sent.time},
		{Name: "Paypal-Transmission-Sig", Value: signature},
		{Name: "Paypal-Auth-Algo", Value: "SHA256withRSA"},
		{Name: "Paypal-Cert-Url", Value: testCertificate},
	}}, nil
}

// paypalSent holds what PayPal's headers say.
type paypalSent struct {
	id, time, certURL string
	at                time.Time
	signature         []byte
}

// readPayPal reads the headers and checks what can be checked without the key.
func readPayPal(r *verify.Request) (sent paypalSent, err error) {
	var signature, algorithm string
	for _, field := range []struct {
		name    string
		to      *string
		missing verify.Reason
	}{
		{"PAYPAL-TRANSMISSION-SIG", &signature, verify.MissingSignature},
		{"PAYPAL-TRANSMISSION-ID", &sent.id, verify.MissingID},
		{"PAYPAL-TRANSMISSION-TIME", &sent.time, verify.MissingTimestamp},
		{"PAYPAL-AUTH-ALGO", &algorithm, verify.UnsupportedAlgorithm},
		{"PAYPAL-CERT-URL", &sent.certURL, verify.UntrustedCertificate},
	} {
		if *field.to, err = oneHeader(r, field.name, field.missing); err != nil {
			return sent, err
		}
	}
	if !strings.EqualFold(algorithm, "SHA256withRSA") {
		return sent, verify.Refuse(verify.UnsupportedAlgorithm, "PAYPAL-AUTH-ALGO is not SHA256withRSA")
	}
	if address, err := httpsURL(sent.certURL); err != nil || paypalName(address.Host) == "" {
		return sent, verify.Refuse(verify.UntrustedCertificate, "PAYPAL-CERT-URL is not an address of PayPal's API")
	}
	if sent.signature, err = decodeStrict(signature); err != nil {
		return sent, verify.Refuse(verify.MalformedSignature, "PAYPAL-TRANSMISSION-SIG is not base64")
	}
	if sent.at, err = time.Parse(time.RFC3339Nano, sent.time); err != nil {
		return sent, verify.Refuse(verify.MalformedTimestamp, "PAYPAL-TRANSMISSION-TIME is not RFC 3339")
	}
	return sent, nil
}

// content gives the text that PayPal signs; the checksum is decimal.
func (s paypalSent) content(webhook string, body []byte) []byte {
	sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)
	return []byte(s.id + "|" + s.time + "|" + webhook + "|" + sum)
}
