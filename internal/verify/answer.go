package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// maxChallenge is the most bytes of a challenge that are sent back.
const maxChallenge = 4096

// Handshake gives the answer to a handshake, nil where the request is none in this phase. An
// error means trouble of ours or of a third party: the receiver answers 503.
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
		// Only the challenge tells this handshake from an event.
		_, n := q.read(h.challenge)
		return n != absent
	}
	return true
}

// answer makes the answer to a request that matches a handshake; nil where the request turns out
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
		a.Note = "a request that anyone could have made brings the verification token " + key +
			"; if you are adding this endpoint at the sender right now, paste the token there, and only when the sender " +
			"has accepted it add it to the source's secrets"
	}
	challenge, n := q.read(h.challenge)
	if h.challenge != nil && (n != once || len(challenge) > maxChallenge || h.signs && !isPlainToken(challenge)) {
		return a.refused(http.StatusBadRequest, `{"error":"Invalid challenge"}`,
			Refuse(MalformedSignature, "the challenge holds characters that no challenge of this sender has"))
	}
	secret := ""
	if h.signs {
		var ok bool
		if secret, ok = q.signing(h, secrets, o); !ok {
			return a.refused(http.StatusServiceUnavailable, `{"error":"Not configured"}`,
				Refuse(EmptySecret, "the source has no secret to answer the handshake with").at(StepPresence))
		}
	}
	return q.fill(a, h, challenge, secret)
}

// fill fills in the templates of an answer.
func (q *reading) fill(a *Answer, h *handshake, challenge, secret string) *Answer {
	escaped := strings.Contains(a.ContentType, "json")
	for name, parts := range h.headers {
		text := q.expand(parts, challenge, secret, false)
		if !isHeaderText(text) {
			return a.refused(http.StatusBadRequest, `{"error":"Invalid challenge"}`,
				Refuse(MalformedSignature, "a header that is to be sent back holds characters that it must not hold"))
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
		return Refuse(TokenMismatch, "the handshake carries no token")
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
		if f := checkUsable(secrets, o.Now); f != nil {
			return f
		}
		for _, s := range secrets {
			if s.Value != "" && s.Active(o.Now) {
				match |= same(s.Value)
			}
		}
	}
	if match == 0 {
		return Refuse(TokenMismatch, "the handshake's token is not the source's")
	}
	return nil
}

// signing gives the secret with which an answer is signed: the one that the request was signed
// with, else the first active one.
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

func (q *reading) expand(parts []replyPart, challenge, secret string, escaped bool) string {
	var b strings.Builder
	for i := range parts {
		p := &parts[i]
		text := p.text
		switch p.kind {
		case replyLiteral:
			b.WriteString(text)
			continue
		case replyChallenge:
			text = challenge
		case replyHMAC:
			m := hmac.New(sha256.New, []byte(secret))
			m.Write([]byte(challenge))
			text = encodeSignature(p.text, m.Sum(nil))
		case replyEd25519:
			if k, err := qqbotPrivate(secret); err == nil {
				text = encodeSignature(encHex, ed25519.Sign(k, []byte(challenge)))
			}
		default:
			text, _ = q.read(p.source)
		}
		if escaped {
			text = jsonEscape(text)
		}
		b.WriteString(text)
	}
	return b.String()
}

// jsonEscape escapes a text as it stands between the quotes of a JSON string.
func jsonEscape(s string) string {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(s) // A string in a buffer never fails.
	quoted := strings.TrimSuffix(b.String(), "\n")
	return quoted[1 : len(quoted)-1]
}

// isPlainToken tells whether a challenge may be signed: it must match [A-Za-z0-9_=.-]{1,256}.
// That excludes v0:{ts}:{body} and every JSON text, so that no answer of ours can serve as the
// signature of an event.
func isPlainToken(s string) bool { return onlyHolds(s, "_=.-", maxPlainToken) }

// maxPlainToken is the most bytes of a challenge that is signed.
const maxPlainToken = 256

// isHeaderText tells whether a text may be sent back in a header: host names, origins and rates
// may.
func isHeaderText(s string) bool { return onlyHolds(s, "_=.-:/*, ", 256) }

func onlyHolds(s, extra string, longest int) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= longest
}
