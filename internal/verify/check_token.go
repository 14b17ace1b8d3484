package verify

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// checkToken compares what the sender shows with the secrets. Both are hashed
// first, so that not even a length is told.
func (q *reading) checkToken(secrets []Secret, o *Options) *Failure {
	text, ok := q.shown(q.sigs[0].text)
	if !ok || len(q.sigs) > 1 {
		return refuse(MalformedSignature, StepCredentials, "the credentials are not written as this sender writes them")
	}
	if f := q.checkGuards(); f != nil {
		return f
	}
	got := sha256.Sum256([]byte(text))
	match := 0
	for i := range secrets {
		s := &secrets[i]
		if s.Value == "" || !s.Active(o.Now) {
			continue
		}
		want := sha256.Sum256([]byte(s.Value))
		match |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	if match == 0 {
		return refuse(TokenMismatch, StepCredentials, "the credentials are none of the source's")
	}
	return nil
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
