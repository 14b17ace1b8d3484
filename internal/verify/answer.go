package verify

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
)

// maxChallenge bounds what is echoed.
const maxChallenge = 4096

// Handshake answers a handshake of a phase; nil where r is none. The error is
// trouble of ours or a third party's: the receiver answers 503.
func (v *Verifier) Handshake(r *Request, secrets []Secret, ph Phase, o Options) (*Answer, error) {
	if len(v.handshakes) == 0 && v.coded == nil {
		return nil, nil
	}
	q := v.open(r)
	defer q.close()
	for i := range v.handshakes {
		h := &v.handshakes[i]
		if h.Signed == bool(ph) && q.matches(h) {
			if a := q.answer(h, secrets, &o); a != nil {
				return a, nil
			}
		}
	}
	if c, ok := v.coded.(CodedHandshaker); ok && ph == Signed {
		return c.Handshake(r, o)
	}
	return nil, nil
}

func (q *reading) matches(h *handshake) bool {
	if h.Match.Method != q.r.Method {
		return false
	}
	for _, s := range h.absent {
		if _, n := q.read(s); n != absent {
			return false
		}
	}
	for _, s := range h.present {
		if _, n := q.read(s); n == absent {
			return false
		}
	}
	for i := range h.equals {
		if text, n := q.read(h.equals[i].source); n != once || text != h.equals[i].text {
			return false
		}
	}
	if h.challenge != nil && len(h.equals) == 0 {
		// Nothing but its challenge tells it from an event.
		_, n := q.read(h.challenge)
		return n != absent
	}
	return true
}

// answer makes the answer of a handshake that matches; nil where it turns out
// to be none.
func (q *reading) answer(h *handshake, secrets []Secret, o *Options) *Answer {
	a := &Answer{Name: h.Name, Status: h.Answer.Status, ContentType: h.Answer.ContentType}
	a.Headers = map[string]string{"X-Content-Type-Options": "nosniff"}
	if h.token != nil {
		if f := q.checkShared(h, secrets, o); f != nil {
			return a.refused(http.StatusForbidden, `{"error":"Forbidden"}`, f)
		}
	}
	if h.selfSigned != nil {
		key, _ := q.read(h.selfSigned)
		if !isPlainToken(key) || q.v.Verify(q.r, []Secret{{Value: key}}, *o) != nil {
			return nil
		}
		a.Note = "the sender's verification token is " + key + "; add it to the source's secrets"
	}
	challenge, n := q.read(h.challenge)
	if h.challenge != nil && (n != once || len(challenge) > maxChallenge || h.signs && !isPlainToken(challenge)) {
		return a.refused(http.StatusBadRequest, `{"error":"Invalid challenge"}`,
			refuse(MalformedSignature, StepPresence, "the challenge holds what no challenge of this sender holds"))
	}
	secret := ""
	if h.signs {
		var ok bool
		if secret, ok = q.signing(h, secrets, o); !ok {
			return a.refused(http.StatusServiceUnavailable, `{"error":"Not configured"}`,
				refuse(EmptySecret, StepPresence, "the source has no secret to answer the handshake with"))
		}
	}
	return q.fill(a, h, challenge, secret)
}

// fill writes the templates of an answer.
func (q *reading) fill(a *Answer, h *handshake, challenge, secret string) *Answer {
	escaped := strings.Contains(a.ContentType, "json")
	for name, parts := range h.headers {
		text := q.expand(parts, challenge, secret, false)
		if !isHeaderText(text) {
			return a.refused(http.StatusBadRequest, `{"error":"Invalid challenge"}`,
				refuse(MalformedSignature, StepPresence, "a header to be echoed holds what no such header holds"))
		}
		a.Headers[name] = text
	}
	a.Body = []byte(q.expand(h.body, challenge, secret, escaped))
	return a
}

func (a *Answer) refused(status int, body string, f *Failure) *Answer {
	a.Status, a.ContentType, a.Body, a.Refused = status, "application/json", []byte(body), f
	return a
}

// checkShared compares the token of a subscription handshake.
func (q *reading) checkShared(h *handshake, secrets []Secret, o *Options) *Failure {
	text, n := q.read(h.token)
	if n != once {
		return refuse(TokenMismatch, StepCredentials, "the handshake carries no token")
	}
	got := sha256.Sum256([]byte(text))
	same := func(want string) int {
		sum := sha256.Sum256([]byte(want))
		return subtle.ConstantTimeCompare(got[:], sum[:])
	}
	match := 0
	if want, n := q.read(h.expect); n == once {
		match = same(want)
	} else {
		if f := usable(secrets, o.Now); f != nil {
			return f
		}
		for _, s := range secrets {
			if s.Value != "" && s.Active(o.Now) {
				match |= same(s.Value)
			}
		}
	}
	if match == 0 {
		return refuse(TokenMismatch, StepCredentials, "the handshake's token is not the source's")
	}
	return nil
}

// signing is the secret an answer is signed with: of a signed handshake the one
// that vouched for it, else the first that counts.
func (q *reading) signing(h *handshake, secrets []Secret, o *Options) (string, bool) {
	for _, s := range secrets {
		if s.Value == "" || !s.Active(o.Now) {
			continue
		}
		if !h.Signed || q.v.Verify(q.r, []Secret{s}, *o) == nil {
			return s.Value, true
		}
	}
	return "", false
}

// String shows an answer in tests and logs without the sender's text.
func (a *Answer) String() string { return fmt.Sprintf("%s: %d", a.Name, a.Status) }
