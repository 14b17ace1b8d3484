package coded

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1, which is not broken by collisions.
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// twilio verifies X-Twilio-Signature: HMAC-SHA1 in base64 over the URL and, for a form, its sorted
// fields; for any other body the URL's parameter bodySHA256 covers it.
// https://www.twilio.com/docs/usage/security#validating-requests
type twilio struct {
	header string
}

func twilioTraits(verify.Profile) verify.Traits {
	return verify.Traits{SignsURL: true, Signs: "the URL and the form's fields"}
}

// newTwilio makes the verifier of the algorithm twilio.
func newTwilio(p verify.Profile) (verify.Coded, error) {
	return twilio{header: signatureHeader(p, "X-Twilio-Signature")}, nil
}

// Verify implements verify.Coded.
func (t twilio) Verify(r *verify.Request, secrets []verify.Secret, o verify.Options) error {
	mac, keys, err := sha1Signature(r, t.header, secrets, o)
	if err != nil {
		return err
	}
	hashed, fits := bodyHashInURL(r)
	fields := ""
	if !hashed && isForm(r) {
		if fields, err = twilioFields(r.Body); err != nil {
			return err
		}
	}
	switch {
	case !twilioMatch(mac, keys, r.URL, fields):
		return verify.Refuse(verify.SignatureMismatch, "the signature does not fit the URL and the body")
	case hashed && !fits, !hashed && len(r.Body) > 0 && !isForm(r):
		return verify.Refuse(verify.BodyHashMismatch, "the URL's bodySHA256 does not fit the body")
	}
	return nil
}

// Covers implements verify.Coded: everything but the headers.
func (t twilio) Covers(kind, _ string) bool { return kind != "header" }

// Content implements verify.Coded.
func (t twilio) Content(r *verify.Request) ([]byte, error) {
	if hashed, _ := bodyHashInURL(r); hashed || !isForm(r) {
		return []byte(r.URL), nil
	}
	fields, err := twilioFields(r.Body)
	return []byte(r.URL + fields), err
}

// Identify implements verify.CodedIdentifier. It gives the signed text, which does not depend on
// how the form is encoded and ordered, without the URL's port, which Twilio may or may not sign.
func (t twilio) Identify(r *verify.Request) []byte {
	named := *r
	if before, host, _, rest, ok := splitAuthority(r.URL); ok {
		named.URL = before + host + rest
	}
	content, _ := t.Content(&named) // Not after Verify.
	return content
}

// Sign implements verify.CodedSigner. A body that is not a form is covered by its hash in the
// URL.
func (t twilio) Sign(r *verify.Request, s verify.Secret, _ time.Time) (verify.Additions, error) {
	var signed verify.Additions
	hashed, _ := bodyHashInURL(r)
	content, err := t.Content(r)
	if err != nil {
		return signed, err
	}
	if !hashed && !isForm(r) && len(r.Body) > 0 {
		sum, separator := sha256.Sum256(r.Body), "?"
		if strings.Contains(r.URL, "?") {
			separator = "&"
		}
		signed.URL = r.URL + separator + "bodySHA256=" + hex.EncodeToString(sum[:])
		content = []byte(signed.URL)
	}
	signed.Headers = []verify.HeaderLine{{Name: t.header, Value: base64.StdEncoding.EncodeToString(hmacSHA1(s.Value, string(content)))}}
	return signed, nil
}

// sha1Signature reads an HMAC-SHA1 in base64 from a header, and the keys to try.
func sha1Signature(r *verify.Request, header string, secrets []verify.Secret, o verify.Options) ([]byte, []string, error) {
	keys, err := activeKeys(secrets, o)
	if err != nil {
		return nil, nil, err
	}
	text, err := oneHeader(r, header, verify.MissingSignature)
	if err != nil {
		return nil, nil, err
	}
	mac, err := decodeStrict(text)
	if err != nil || len(mac) != sha1.Size {
		return nil, nil, verify.Refuse(verify.MalformedSignature, "the signature is not base64 of 20 bytes")
	}
	if r.URL == "" {
		return nil, nil, verify.Refuse(verify.SignatureMismatch, "the public URL of the source is not known; set it")
	}
	return mac, keys, nil
}

// twilioMatch tries every key with the URL as it is, without its port, and with the standard
// port.
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

// hmacSHA1 gives the HMAC-SHA1 of text under key.
func hmacSHA1(key, text string) []byte {
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// isForm reports whether the request says that its body is a form.
func isForm(r *verify.Request) bool {
	values := r.Header.Values("Content-Type")
	if len(values) != 1 {
		return false
	}
	media, _, err := mime.ParseMediaType(values[0])
	return err == nil && media == "application/x-www-form-urlencoded"
}

// twilioFields gives the signed text of a form: for each key in byte order and each of its
// distinct values in byte order, the decoded key and value.
func twilioFields(body []byte) (string, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", verify.Refuse(verify.SignatureMismatch, "the body is not a form")
	}
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(form)) {
		values := slices.Clone(form[key])
		slices.Sort(values)
		for _, value := range slices.Compact(values) {
			text.WriteString(key + value)
		}
	}
	return text.String(), nil
}

// bodyHashInURL reports whether the URL has a bodySHA256, as Twilio's URLs do if the body is not
// a form, and whether it has exactly one, which is the hash of the body. The body may be empty.
func bodyHashInURL(r *verify.Request) (hashed, fits bool) {
	const name = "bodySHA256"
	_, query, _ := strings.Cut(r.URL, "?")
	values, err := url.ParseQuery(query)
	if len(values[name]) != 1 || err != nil {
		return len(values[name]) > 0, false
	}
	sum, err := hex.DecodeString(values.Get(name))
	own := sha256.Sum256(r.Body)
	return true, err == nil && hmac.Equal(sum, own[:])
}

// The functions below change the text of a URL without parsing it: Twilio signs the text, and
// parsing would change its escapes.

// splitAuthority cuts a URL into what precedes its host, the host, the port without its colon, and
// the rest. The port is empty when there is none. A text without "://" gives ok false.
func splitAuthority(url string) (before, host, port, rest string, ok bool) {
	scheme, after, ok := strings.Cut(url, "://")
	if !ok {
		return "", "", "", "", false
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	authority, rest := after[:end], after[end:]
	at := strings.LastIndexByte(authority, '@') + 1
	before, host = scheme+"://"+authority[:at], authority[at:]
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		host, port = host[:colon], host[colon+1:]
	}
	return before, host, port, rest, true
}

// portVariants returns the URL as it is, without its port, and with the standard port of its scheme
// when it names none. Twilio signs one of them.
// https://www.twilio.com/docs/usage/security#validating-requests
func portVariants(url string) []string {
	before, host, port, rest, ok := splitAuthority(url)
	if !ok {
		return []string{url}
	}
	if port != "" {
		return []string{url, before + host + rest}
	}
	standard := ":443"
	if strings.HasPrefix(url, "http://") {
		standard = ":80"
	}
	return []string{url, before + host + standard + rest}
}
