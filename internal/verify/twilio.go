package verify

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1, which is not broken by collisions.
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"mime"
	"net/url"
	"slices"
	"strings"
	"time"
)

// twilio verifies X-Twilio-Signature: HMAC-SHA1 in base64 over the URL and, for a form, its sorted
// fields; for any other body the URL's parameter bodySHA256 covers it.
// https://www.twilio.com/docs/usage/security#validating-requests
type twilio struct {
	header string
}

// newTwilio makes the verifier of the algorithm twilio.
func newTwilio(p Profile) (Coded, error) {
	return twilio{header: codedHeaderName(p, "X-Twilio-Signature")}, nil
}

// Verify implements Coded.
func (t twilio) Verify(r *Request, secrets []Secret, o Options) error {
	mac, keys, err := sha1Signature(r, t.header, secrets, o)
	if err != nil {
		return err
	}
	if isForm(r) {
		fields, err := twilioFields(r.Body)
		if err != nil {
			return err
		}
		if twilioMatch(mac, keys, r.URL, fields) {
			return nil
		}
	}
	if !twilioMatch(mac, keys, r.URL, "") {
		return codedFailure(SignatureMismatch, "The signature does not fit the URL and the body.")
	}
	if len(r.Body) > 0 && !bodyHashInURL(r) {
		return codedFailure(BodyHashMismatch, "The URL's bodySHA256 does not fit the body.")
	}
	return nil
}

// Covers implements CodedCover: everything but the headers.
func (t twilio) Covers(source string) bool { return codedCovers(source, notHeader) }

// Content implements CodedContent.
func (t twilio) Content(r *Request) ([]byte, error) {
	if !isForm(r) {
		return []byte(r.URL), nil
	}
	fields, err := twilioFields(r.Body)
	return []byte(r.URL + fields), err
}

// Sign implements CodedSigner. A body that is no form is signed through the URL.
func (t twilio) Sign(r *Request, s Secret, _ time.Time) (Additions, error) {
	var signed Additions
	content, err := t.Content(r)
	if err != nil {
		return signed, err
	}
	if !isForm(r) && len(r.Body) > 0 && !bodyHashInURL(r) {
		sum, separator := sha256.Sum256(r.Body), "?"
		if strings.Contains(r.URL, "?") {
			separator = "&"
		}
		signed.URL = r.URL + separator + "bodySHA256=" + hex.EncodeToString(sum[:])
		content = []byte(signed.URL)
	}
	signed.Headers = []HeaderLine{{t.header, base64.StdEncoding.EncodeToString(hmacSHA1(s.Value, string(content)))}}
	return signed, nil
}

// sha1Signature reads an HMAC-SHA1 in base64 from a header, and the keys to try.
func sha1Signature(r *Request, header string, secrets []Secret, o Options) ([]byte, []string, error) {
	keys, err := codedKeys(secrets, o)
	if err != nil {
		return nil, nil, err
	}
	text, err := codedHeader(r, header, MissingSignature)
	if err != nil {
		return nil, nil, err
	}
	mac, err := decodeStrict(text)
	if err != nil || len(mac) != sha1.Size {
		return nil, nil, codedFailure(MalformedSignature, "The signature is not base64 of 20 bytes.")
	}
	if r.URL == "" {
		return nil, nil, codedFailure(SignatureMismatch, "The public URL of the source is not known; set it.")
	}
	return mac, keys, nil
}

// twilioMatch tries every key with the URL as it is, without its port and with the standard one.
func twilioMatch(mac []byte, keys []string, url, fields string) bool {
	for _, variant := range portVariants(url) {
		for _, key := range keys {
			if hmac.Equal(mac, hmacSHA1(key, variant+fields)) {
				return true
			}
		}
	}
	return false
}

// hmacSHA1 is HMAC-SHA1 of text under key.
func hmacSHA1(key, text string) []byte {
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// isForm reports whether the request says that its body is a form.
func isForm(r *Request) bool {
	values := r.Header.Values("Content-Type")
	if len(values) != 1 {
		return false
	}
	media, _, err := mime.ParseMediaType(values[0])
	return err == nil && media == "application/x-www-form-urlencoded"
}

// twilioFields is the signed text of a form: for each key in byte order, each of its distinct values
// in byte order, the key and the value, decoded.
func twilioFields(body []byte) (string, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", codedFailure(SignatureMismatch, "The body is not a form.")
	}
	var text strings.Builder
	for _, key := range sortedKeys(form) {
		values := slices.Clone(form[key])
		slices.Sort(values)
		for _, value := range slices.Compact(values) {
			text.WriteString(key + value)
		}
	}
	return text.String(), nil
}

// bodyHashInURL reports whether the URL holds exactly one bodySHA256 and it is that of the body.
func bodyHashInURL(r *Request) bool {
	_, query, _ := strings.Cut(r.URL, "?")
	values, err := url.ParseQuery(query)
	if err != nil || len(values["bodySHA256"]) != 1 {
		return false
	}
	sum, err := hex.DecodeString(values.Get("bodySHA256"))
	own := sha256.Sum256(r.Body)
	return err == nil && hmac.Equal(sum, own[:])
}

// sortedKeys returns the names of a form in byte order.
func sortedKeys(form url.Values) []string {
	keys := make([]string, 0, len(form))
	for key := range form {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
