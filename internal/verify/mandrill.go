package verify

import (
	"crypto/hmac"
	"encoding/base64"
	"net/url"
	"time"
)

// mandrill verifies X-Mandrill-Signature: HMAC-SHA1 in base64 over the URL and the form's fields in
// the order of their keys.
// https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/
type mandrill struct {
	header string
}

// newMandrill makes the verifier of the algorithm mandrill.
func newMandrill(p Profile) (Coded, error) {
	return mandrill{header: codedHeaderName(p, "X-Mandrill-Signature")}, nil
}

// Verify implements Coded.
func (m mandrill) Verify(r *Request, secrets []Secret, o Options) error {
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
	return codedFailure(SignatureMismatch, "The signature does not fit the URL and the form.")
}

// Covers implements CodedCover: everything but the headers.
func (m mandrill) Covers(source string) bool { return codedCovers(source, notHeader) }

// Content implements CodedContent. A key that is there twice is refused: Mandrill sends none, and a
// stranger could otherwise cut one captured value into two.
func (m mandrill) Content(r *Request) ([]byte, error) {
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return nil, codedFailure(SignatureMismatch, "The body is not a form.")
	}
	text := []byte(r.URL)
	for _, key := range sortedKeys(form) {
		if len(form[key]) != 1 {
			return nil, codedFailure(SignatureMismatch, "The form names a field twice.")
		}
		text = append(append(text, key...), form.Get(key)...)
	}
	return text, nil
}

// Sign implements CodedSigner.
func (m mandrill) Sign(r *Request, s Secret, _ time.Time) (Additions, error) {
	content, err := m.Content(r)
	if err != nil {
		return Additions{}, err
	}
	mac := base64.StdEncoding.EncodeToString(hmacSHA1(s.Value, string(content)))
	return Additions{Headers: []HeaderLine{{m.header, mac}}}, nil
}
