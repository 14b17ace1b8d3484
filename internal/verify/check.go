package verify

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"hash"
	"strings"
	"time"
)

// algorithms.
const (
	algHMACSHA1   = "hmac-sha1"
	algHMACSHA256 = "hmac-sha256"
	algHMACSHA512 = "hmac-sha512"
	algSHA1       = "sha1"
	algSHA256     = "sha256"
	algSHA512     = "sha512"
	algEd25519    = "ed25519"
	algECDSA      = "ecdsa-p256-sha256"
	algToken      = "token"
	algBearer     = "bearer"
	algBasic      = "basic"
	algNone       = "none"
)

// maxAsymmetric bounds the public-key operations that one request may cause.
const maxAsymmetric = 32

func (v *Verifier) isHMAC() bool { return strings.HasPrefix(v.p.Algorithm, "hmac-") }

func (v *Verifier) token() bool {
	switch v.p.Algorithm {
	case algToken, algBearer, algBasic:
		return true
	}
	return false
}

// checkSignature tries every active secret on every signature of the request.
func (q *reading) checkSignature(secrets []Secret, now time.Time) *Failure {
	t := keyTrial{left: maxAsymmetric}
	known := false
	for i := range secrets {
		s := &secrets[i]
		if s.Value == "" || !s.Active(now) {
			continue
		}
		if q.v.keyID != nil && s.KeyID != "" && subtle.ConstantTimeCompare([]byte(s.KeyID), []byte(q.keyID)) == 0 {
			continue
		}
		known = true
		k := q.v.key(s.Value)
		if k.err != nil {
			t.noteKey(k.err)
			continue
		}
		if q.tryKey(k, s.Value, i, &t) {
			return nil
		}
	}
	switch {
	case !known:
		return Refuse(UnknownKey, "the request was signed with a key that the source does not have")
	case t.judged:
		return Refuse(SignatureMismatch, "no signature fits a secret of the source")
	case errors.Is(t.keyFault, errEmptyKey):
		return Refuse(EmptySecret, "the secret is empty once it is decoded")
	case t.keyFault != nil:
		return Refuse(SignatureMismatch, "the source's secret is not written as its profile says")
	default:
		return Refuse(MalformedSignature, "the signature is not written as this sender writes it").at(StepSignature)
	}
}

// keyTrial counts the attempts on one request and notes how they went.
type keyTrial struct {
	judged   bool // a signature could be decoded and was compared
	keyFault error
	left     int // public-key operations that may still be made
}

func (t *keyTrial) noteKey(err error) {
	if t.keyFault == nil {
		t.keyFault = err
	}
}

// tryKey tries one secret, the n-th, on the signatures.
func (q *reading) tryKey(k *key, secret string, n int, t *keyTrial) bool {
	switch q.v.p.Algorithm {
	case algEd25519:
		return q.tryEd25519(k.ed25519, n, t)
	case algECDSA:
		return q.tryECDSA(k.ecdsa, n, t)
	}
	if q.tryDigest(k, secret, n, t) {
		return true
	}
	if q.v.urlUnescape == nil || !strings.Contains(q.r.URL, "%") {
		return false
	}
	q.unescape = true
	defer func() { q.unescape = false }()
	return q.tryDigest(k, secret, n, t)
}

func (q *reading) tryDigest(k *key, secret string, n int, t *keyTrial) bool {
	sum := q.digest(k, secret)
	for _, c := range q.sigs {
		if c.key >= 0 && c.key != n {
			continue
		}
		got, ok := decodeExact(q.decoded[:], q.v.p.Signature.Encoding, c.text, q.v.size)
		if !ok {
			continue
		}
		t.judged = true
		if subtle.ConstantTimeCompare(got, sum) == 1 {
			return true
		}
	}
	return false
}

// digest gives the HMAC or hash of the content under one secret.
func (q *reading) digest(k *key, secret string) []byte {
	h := q.v.state(k)
	q.writeContent(h, secret)
	sum := h.Sum(q.sum[:0])
	k.release(h)
	return sum
}

func (q *reading) tryEd25519(k ed25519.PublicKey, n int, t *keyTrial) bool {
	var message []byte
	for _, c := range q.sigs {
		if c.key >= 0 && c.key != n {
			continue
		}
		got, ok := decodeExact(q.decoded[:], q.v.p.Signature.Encoding, c.text, ed25519.SignatureSize)
		if !ok || t.left == 0 {
			continue
		}
		if message == nil {
			message = q.appendContent(q.scratch[:0], "")
			q.scratch = message
		}
		t.left--
		t.judged = true
		if ed25519.Verify(k, message, got) {
			return true
		}
	}
	return false
}

func (q *reading) tryECDSA(k *ecdsa.PublicKey, n int, t *keyTrial) bool {
	var h hash.Hash
	for _, c := range q.sigs {
		if c.key >= 0 && c.key != n {
			continue
		}
		got, ok := decodeDER(q.v.p.Signature.Encoding, c.text)
		if !ok || t.left == 0 {
			continue
		}
		if h == nil {
			h = sha256.New()
			q.writeContent(h, "")
		}
		t.left--
		t.judged = true
		if ecdsa.VerifyASN1(k, h.Sum(q.sum[:0]), got) {
			return true
		}
	}
	return false
}

func oneOf(list []string, text string) bool {
	for _, s := range list {
		if strings.EqualFold(s, text) {
			return true
		}
	}
	return false
}

// checkToken compares the token that the sender shows with the secrets. Where each element of a
// list shows a token, all of them are compared. Both sides are hashed first, so that the time
// tells nothing, not even a length.
func (q *reading) checkToken(secrets []Secret, o *Options) *Failure {
	if len(q.sigs) > 1 && q.v.each == nil {
		return Refuse(MalformedSignature, "the credentials are not written as this sender writes them").at(StepCredentials)
	}
	for i := range q.sigs {
		text, ok := q.credentials(q.sigs[i].text)
		if !ok {
			return Refuse(MalformedSignature, "the credentials are not written as this sender writes them").at(StepCredentials)
		}
		q.sigs[i].text = text
	}
	if f := q.checkGuards(); f != nil {
		return f
	}
	for i := range q.sigs {
		if !isOneOf(q.sigs[i].text, secrets, o.Now) {
			return Refuse(TokenMismatch, "the credentials are none of the source's")
		}
	}
	return nil
}

// isOneOf tells whether a text is one of the active secrets.
func isOneOf(text string, secrets []Secret, now time.Time) bool {
	got := sha256.Sum256([]byte(text))
	match := 0
	for i := range secrets {
		s := &secrets[i]
		if s.Value == "" || !s.Active(now) {
			continue
		}
		want := sha256.Sum256([]byte(s.Value))
		match |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return match == 1
}

// credentials reads the credentials from an Authorization header (RFC 7617 and 6750).
func (q *reading) credentials(text string) (string, bool) {
	if q.v.p.Algorithm == algToken || q.fromBody && q.v.p.Algorithm == algBearer {
		return text, text != ""
	}
	scheme, rest, ok := strings.Cut(text, " ")
	if !ok || !strings.EqualFold(scheme, q.v.p.Algorithm) {
		return "", false
	}
	rest = strings.TrimSpace(rest)
	if q.v.p.Algorithm == algBearer {
		return rest, rest != ""
	}
	b, err := base64.StdEncoding.Strict().DecodeString(rest)
	return string(b), err == nil && strings.Contains(string(b), ":")
}
