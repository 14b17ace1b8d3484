package coded

import (
	"crypto/hmac"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// mandrill verifies X-Mandrill-Signature: HMAC-SHA1 in base64 over the URL and the form's fields in
// the order of their keys.
// https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/
type mandrill struct {
	header string
}

func mandrillTraits(verify.Profile) verify.Traits {
	return verify.Traits{SignsURL: true, Signs: "the URL and the form's fields"}
}

// newMandrill makes the verifier of the algorithm mandrill.
func newMandrill(p verify.Profile) (verify.Coded, error) {
	return mandrill{header: signatureHeader(p, "X-Mandrill-Signature")}, nil
}

// Verify implements verify.Coded.
func (m mandrill) Verify(r *verify.Request, secrets []verify.Secret, o verify.Options) error {
	mac, keys, err := sha1Signature(r, m.header, secrets, o)
	if err != nil {
		return err
	}
	content, err := m.Content(r)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if hmac.Equal(mac, hmacSHA1(key, string(content))) {
			return nil
		}
	}
	return verify.Refuse(verify.SignatureMismatch, "the signature does not fit the URL and the form")
}

// Covers implements verify.Coded: everything but the headers.
func (m mandrill) Covers(kind, _ string) bool { return kind != "header" }

// Content implements verify.Coded. A key that is there twice is refused: Mandrill sends none, and a
// stranger could otherwise cut one captured value into two.
func (m mandrill) Content(r *verify.Request) ([]byte, error) {
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return nil, verify.Refuse(verify.SignatureMismatch, "the body is not a form")
	}
	text := []byte(r.URL)
	for _, key := range slices.Sorted(maps.Keys(form)) {
		if len(form[key]) != 1 {
			return nil, verify.Refuse(verify.SignatureMismatch, "the form names a field twice")
		}
		text = append(append(text, key...), form.Get(key)...)
	}
	return text, nil
}

// Sign implements verify.CodedSigner.
func (m mandrill) Sign(r *verify.Request, s verify.Secret, _ time.Time) (verify.Additions, error) {
	content, err := m.Content(r)
	if err != nil {
		return verify.Additions{}, err
	}
	mac := base64.StdEncoding.EncodeToString(hmacSHA1(s.Value, string(content)))
	return verify.Additions{Headers: []verify.HeaderLine{{Name: m.header, Value: mac}}}, nil
}
