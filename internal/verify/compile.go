package verify

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Fault is one thing wrong with a profile: the path of the field, as in the
// YAML (signature.headers, handshakes[0].answer.body), and a sentence.
type Fault struct{ Field, Text string }

// Faults are all that is wrong with a profile.
type Faults []Fault

// Error lists every fault, a line each.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.Field + ": " + one.Text
	}
	return strings.Join(lines, "\n")
}

// grammars of signature headers.
const (
	grammarPlain = "plain"
	grammarKV    = "kv"
	grammarList  = "list"
)

// kinds of bodies.
const (
	bodyJSON  = "json"
	bodyForm  = "form"
	bodyMulti = "multi"
	bodyBytes = "bytes"
)

// ways to tell events apart.
const (
	dedupeID     = "id"
	dedupeFields = "fields"
	dedupeBody   = "body"
	dedupeNone   = "none"
)

type compiler struct {
	p      Profile
	v      *Verifier
	faults Faults
}

// Compile checks a profile and makes it ready. It reports every fault at once:
// the error is Faults.
func (p Profile) Compile() (*Verifier, error) {
	c := &compiler{p: p.withDefaults(), v: &Verifier{}}
	c.v.p = c.p
	c.params()
	c.algorithm()
	c.kinds()
	c.guards()
	c.identity()
	c.handshakes()
	c.dedupe()
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	return c.v, nil
}

func (p Profile) withDefaults() Profile {
	def := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	def(&p.Key, keyRaw)
	def(&p.Content, "{body}")
	def(&p.Signature.Grammar, grammarPlain)
	def(&p.Signature.Separator, ",")
	def(&p.Signature.Encoding, encHex)
	def(&p.Timestamp.Format, formatSeconds)
	def(&p.Body, bodyJSON)
	def(&p.Dedupe, dedupeBody)
	if len(p.Methods) == 0 {
		p.Methods = []string{http.MethodPost}
	}
	if p.Timestamp.Past == 0 {
		p.Timestamp.Past = DefaultTolerance
	}
	if p.Timestamp.Future == 0 {
		p.Timestamp.Future = DefaultTolerance
	}
	return p
}

func (c *compiler) fault(field, format string, args ...any) {
	c.faults = append(c.faults, Fault{field, fmt.Sprintf(format, args...)})
}

// oneOf faults a field whose value is none of the list.
func (c *compiler) oneOf(field, value string, list ...string) {
	if !slices.Contains(list, value) {
		c.fault(field, "%q is unknown; use one of %s", value, strings.Join(list, ", "))
	}
}

// source compiles an optional source.
func (c *compiler) source(field, text string) source {
	if text == "" {
		return nil
	}
	s, err := parseSource(text, c.p.Params)
	if err != nil {
		c.fault(field, "%s", err)
	}
	if c.p.Signature.Grammar != grammarKV && slices.ContainsFunc(s, func(j joint) bool {
		return slices.ContainsFunc(j.places, func(p place) bool { return p.kind == placeKey })
	}) {
		c.fault(field, "key: needs signature.grammar: kv")
	}
	return s
}

// params checks that what the source's owner must give is there, and that
// nothing is given that the profile does not know.
func (c *compiler) params() {
	for _, s := range c.p.Settings {
		if s.Required && c.p.Params[s.Name] == "" {
			c.fault("params."+s.Name, "is needed: %s", s.Doc)
		}
	}
	for name := range c.p.Params {
		if !slices.ContainsFunc(c.p.Settings, func(s Setting) bool { return s.Name == name }) {
			c.fault("params."+name, "is no setting of this sender, which has %s", settingNames(c.p.Settings))
		}
	}
}

func settingNames(settings []Setting) string {
	if len(settings) == 0 {
		return "none"
	}
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.Name
	}
	return strings.Join(names, ", ")
}

func (c *compiler) algorithm() {
	coded, known, err := newCoded(c.p)
	switch {
	case err != nil:
		c.fault("algorithm", "%s", err)
	case known:
		c.v.coded = coded
	case c.p.Algorithm == algNone:
	case c.v.token():
		c.signature()
	case hashOf(c.p.Algorithm) != nil:
		c.v.newHash = hashOf(c.p.Algorithm)
		c.v.size = c.v.newHash().Size()
		c.signed()
		if !c.v.isHMAC() && !c.signs(partSecret) {
			c.fault("content", "a plain hash proves nothing without {secret}")
		}
		if c.v.isHMAC() && c.signs(partSecret) {
			c.fault("content", "{secret} is for plain hashes; an HMAC is keyed with it")
		}
	case c.p.Algorithm == algEd25519, c.p.Algorithm == algECDSA:
		c.signed()
		if c.signs(partSecret) {
			c.fault("content", "{secret} is for plain hashes")
		}
	default:
		c.fault("algorithm", "%q is unknown; use hmac-sha1, hmac-sha256, hmac-sha512, sha1, sha256, sha512, ed25519, ecdsa-p256-sha256, token, bearer, basic, none, twilio, mandrill, sns, paypal, adyen or jwt", c.p.Algorithm)
	}
}

// kinds checks the closed lists.
func (c *compiler) kinds() {
	c.oneOf("key", c.p.Key, keyRaw, keyHex, keyBase64, keyBase64URL, keyWhsec, keyWhpk, keySPKI, keyQQBot)
	c.oneOf("body", c.p.Body, bodyJSON, bodyForm, bodyMulti, bodyBytes)
	c.oneOf("dedupe", c.p.Dedupe, dedupeID, dedupeFields, dedupeBody, dedupeNone)
	if c.p.Algorithm == algECDSA && c.p.Key != keySPKI {
		c.fault("key", "an ECDSA public key is written as spki")
	}
	if c.v.isHMAC() && (c.p.Key == keySPKI || c.p.Key == keyWhpk || c.p.Key == keyQQBot) {
		c.fault("key", "%s is a public key; an HMAC with it could be forged by anybody", c.p.Key)
	}
	if s := c.p.Ack.Status; s != 0 && (s < 200 || s > 299) {
		c.fault("ack.status", "must be a status from 200 to 299")
	}
	if s := c.p.Ack.Reject; s != 0 && (s < 400 || s > 499) {
		c.fault("ack.reject", "must be a status from 400 to 499")
	}
}
