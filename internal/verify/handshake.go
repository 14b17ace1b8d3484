package verify

import (
	"fmt"
	"net/http"
)

// Handshake is a request by which a sender tries an endpoint out, and the answer to it.
type Handshake struct {
	// Name is the handshake's, for metrics.
	Name string `yaml:"name"`
	// Signed says that the handshake is answered only after the signature was verified.
	Signed bool `yaml:"signed"`
	// Match says which requests are the handshake.
	Match Match `yaml:"match"`
	// Challenge says where the text is found that {challenge} stands for.
	Challenge string `yaml:"challenge"`
	// Token says where a token is found that must equal Expect.
	Token string `yaml:"token"`
	// Expect is the text that Token must equal, written {param:x}; without it Token must equal
	// one of the secrets. Otherwise the answer is 403.
	Expect string `yaml:"expect"`
	// SelfSigned says where a request holds the very key that it is signed with, as Notion's
	// first request does. It is answered, nothing in it is trusted, and the source's owner is
	// shown the key.
	SelfSigned string `yaml:"self_signed"`
	// Answer is the template of the answer.
	Answer Reply `yaml:"answer"`
}

// Match says which requests are the handshake: all given conditions must hold.
type Match struct {
	// Method is the method of the request; by default POST.
	Method string `yaml:"method"`
	// Present names places that must hold a text.
	Present []string `yaml:"present"`
	// Equals names places and the texts that they must hold.
	Equals map[string]string `yaml:"equals"`
	// Absent names places that must hold nothing.
	Absent []string `yaml:"absent"`
}

// Reply is the template of an answer. It may hold {challenge}; {hmac:hex} and {hmac:base64}, the
// HMAC-SHA256 of the challenge; {ed25519:hex}, its signature under the key derived from a QQ
// bot's secret; {body:path}, {query:x}, {header:X} and {param:x}. In a JSON answer they are
// escaped as JSON strings.
type Reply struct {
	// Status is the HTTP status of the answer.
	Status int `yaml:"status"`
	// ContentType is the media type of the answer.
	ContentType string `yaml:"content_type"`
	// Headers are added to the answer.
	Headers map[string]string `yaml:"headers"`
	// Body is the body of the answer.
	Body string `yaml:"body"`
}

// Answer is the answer to a handshake. Challenges are sent back as text/plain with nosniff.
type Answer struct {
	// Name is the handshake's, for metrics.
	Name        string
	Status      int
	ContentType string
	Headers     map[string]string
	Body        []byte
	// Note is something that the source's owner must see, such as Notion's verification token.
	// Besides our own words it holds only A-Z a-z 0-9 _ = . and -.
	Note string
	// Refused says why the handshake was turned down; nil if it was not.
	Refused *Failure
}

// Phase says when a handshake is looked for.
type Phase bool

// The phases of a request.
const (
	Unsigned Phase = false // before verification
	Signed   Phase = true  // after it
)

type replyKind uint8

const (
	replyLiteral replyKind = iota
	replyChallenge
	replyHMAC
	replyEd25519
	replySource
)

type replyPart struct {
	kind   replyKind
	text   string // a literal, or the encoding of a signature
	source source
}

type equality struct {
	source source
	text   string
}

// handshake is a compiled Handshake.
type handshake struct {
	Handshake
	present, absent          []source
	equals                   []equality
	challenge, token, expect source
	selfSigned               source
	body                     []replyPart
	headers                  map[string][]replyPart
	signs                    bool // the answer signs the challenge
}

func (c *compiler) handshakes() {
	for i := range c.p.Handshakes {
		c.v.handshakes = append(c.v.handshakes, c.handshake(fmt.Sprintf("handshakes[%d]", i), c.p.Handshakes[i]))
	}
}

func (c *compiler) handshake(field string, given Handshake) handshake {
	h := handshake{Handshake: given, headers: map[string][]replyPart{}}
	if h.Match.Method == "" {
		h.Match.Method = http.MethodPost
	}
	if h.Answer.Status == 0 {
		h.Answer.Status = http.StatusOK
	}
	if h.Name == "" {
		c.fault(field+".name", "is needed: metrics name the handshake by it")
	}
	for _, s := range h.Match.Present {
		h.present = append(h.present, c.source(field+".match.present", s))
	}
	for _, s := range h.Match.Absent {
		h.absent = append(h.absent, c.source(field+".match.absent", s))
	}
	for s, text := range h.Match.Equals {
		h.equals = append(h.equals, equality{c.source(field+".match.equals", s), text})
	}
	h.challenge = c.source(field+".challenge", h.Challenge)
	h.token = c.source(field+".token", h.Token)
	h.expect = c.source(field+".expect", h.Expect)
	h.selfSigned = c.source(field+".self_signed", h.SelfSigned)
	h.body = c.reply(field+".answer.body", h.Answer.Body, &h)
	for name, text := range h.Answer.Headers {
		h.headers[name] = c.reply(field+".answer.headers", text, &h)
	}
	c.checkHandshake(field, &h)
	return h
}

func (c *compiler) checkHandshake(field string, h *handshake) {
	nothing := len(h.present)+len(h.equals) == 0 && h.challenge == nil && h.token == nil
	if nothing && h.Match.Method == http.MethodPost {
		c.fault(field+".match", "would take every event for a handshake; add present or equals")
	}
	if h.signs && h.challenge == nil {
		c.fault(field+".challenge", "is needed for a signature in the answer")
	}
	if h.Signed && c.p.Algorithm == algNone {
		c.fault(field+".signed", "nothing of this sender is signed")
	}
}

// reply reads the template of an answer.
func (c *compiler) reply(field, text string, h *handshake) []replyPart {
	var parts []replyPart
	err := scanTemplate(text, func(s string) {
		parts = append(parts, replyPart{kind: replyLiteral, text: s})
	}, func(name, arg string) error {
		p := replyPart{text: arg}
		switch name {
		case "challenge":
			p.kind = replyChallenge
		case "hmac":
			p.kind, h.signs = replyHMAC, true
			if arg != encHex && arg != encBase64 {
				return fmt.Errorf("{hmac:%s} must be {hmac:hex} or {hmac:base64}", arg)
			}
		case "ed25519":
			p.kind, h.signs = replyEd25519, true
		case "header", "body", "query", "form", "param":
			p.kind, p.source = replySource, c.source(field, name+":"+arg)
		default:
			return fmt.Errorf("{%s} is no place of an answer: use challenge, hmac:hex, hmac:base64, ed25519:hex, header:X, body:path, query:x, form:x or param:x", name)
		}
		parts = append(parts, p)
		return nil
	})
	if err != nil {
		c.fault(field, "%s", err)
	}
	return parts
}
