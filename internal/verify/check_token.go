package verify

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"
)

// checkToken compares what the sender shows with the secrets, once or, where
// each element of a list shows it, every time. Both are hashed first, so that
// not even a length is told.
func (q *reading) checkToken(secrets []Secret, o *Options) *Failure {
	if len(q.sigs) > 1 && q.v.each == nil {
		return refuse(MalformedSignature, StepCredentials, "the credentials are not written as this sender writes them")
	}
	for i := range q.sigs {
		text, ok := q.shown(q.sigs[i].text)
		if !ok {
			return refuse(MalformedSignature, StepCredentials, "the credentials are not written as this sender writes them")
		}
		q.sigs[i].text = text
	}
	if f := q.checkGuards(); f != nil {
		return f
	}
	for i := range q.sigs {
		if !isOneOf(q.sigs[i].text, secrets, o.Now) {
			return refuse(TokenMismatch, StepCredentials, "the credentials are none of the source's")
		}
	}
	return nil
}

// isOneOf tells whether a text is one of the secrets that count now.
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

// shown takes the credentials out of an Authorization header (RFC 7617, 6750).
func (q *reading) shown(text string) (string, bool) {
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
