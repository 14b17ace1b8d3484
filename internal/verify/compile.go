package verify

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a profile: the path of the field, written as in the YAML
// (signature.headers, handshakes[0].answer.body), and a sentence.
type Fault struct{ Field, Text string }

// Faults is everything that is wrong with a profile.
type Faults []Fault

// Error lists every fault, a line each.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.Field + ": " + one.Text
	}
	return strings.Join(lines, "\n")
}

// The grammars of signature headers.
const (
	grammarPlain = "plain"
	grammarKV    = "kv"
	grammarList  = "list"
)

// The kinds of bodies.
const (
	bodyJSON  = "json"
	bodyForm  = "form"
	bodyMulti = "multi"
	bodyBytes = "bytes"
)

// The ways to tell events apart.
const (
	dedupeID     = "id"
	dedupeFields = "fields"
	dedupeBody   = "body"
	dedupeSigned = "signed"
	dedupeNone   = "none"
)

type compiler struct {
	p      Profile
	coded  Schemes
	v      *Verifier
	faults Faults
}

// Compile checks a profile and makes its Verifier. coded holds the schemes that are verified by
// code; nil leaves those out. All faults are reported at once: the error is of type Faults.
func (p Profile) Compile(coded Schemes) (*Verifier, error) {
	c := &compiler{p: p.withDefaults(), v: &Verifier{}, coded: coded}
	c.v.p = c.p
	c.params()
	c.algorithm()
	c.noteTraits()
	c.batch()
	c.chooseDedupe()
	c.checkWords()
	c.guards()
	c.identity()
	c.handshakes()
	c.dedupe()
	c.law()
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

// oneOf reports a field whose value is not on the list.
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

// params checks that all required settings are given, and none that the profile does not know.
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
	scheme, coded := c.coded[c.p.Algorithm]
	switch {
	case coded:
		var err error
		if c.v.coded, err = scheme.New(c.p); err != nil {
			c.fault("algorithm", "%s", err)
		}
		c.v.traits = scheme.Traits(c.p)
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
		c.fault("algorithm", "%q is unknown; use hmac-sha1, hmac-sha256, hmac-sha512, sha1, sha256, sha512, ed25519, ecdsa-p256-sha256, token, bearer, basic, none%s", c.p.Algorithm, c.codedNames())
	}
}

// codedNames lists the names of the coded schemes.
func (c *compiler) codedNames() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.coded)) {
		b.WriteString(", " + name)
	}
	return b.String()
}

// noteTraits derives the traits of a scheme from its content template.
func (c *compiler) noteTraits() {
	if c.v.coded != nil {
		return
	}
	c.v.traits = Traits{
		Bearer:    c.v.token() || c.p.Algorithm == algNone,
		Public:    c.p.Algorithm == algECDSA || c.p.Algorithm == algEd25519 && c.p.Key != keyQQBot,
		Keyless:   c.p.Algorithm == algNone,
		Dated:     c.p.Timestamp.From != "",
		SignsBody: c.v.bodySigned,
		SignsURL:  c.signs(partURL) || c.signs(partURLNoQuery),
	}
}

// chooseDedupe chooses how events are told apart where the profile does not say: by the body, or
// by what is signed where the body is not signed.
func (c *compiler) chooseDedupe() {
	t := c.v.traits
	if c.p.Dedupe == "" {
		c.p.Dedupe = dedupeBody
		if known := c.v.coded != nil || c.v.content != nil; known && !t.SignsBody && !t.Bearer {
			c.p.Dedupe = dedupeSigned
		}
	}
	c.v.p.Dedupe = c.p.Dedupe
}

// checkWords checks the fields that take one of a few values.
func (c *compiler) checkWords() {
	c.oneOf("key", c.p.Key, keyRaw, keyHex, keyBase64, keyBase64URL, keyWhsec, keyWhpk, keySPKI, keyQQBot)
	c.oneOf("body", c.p.Body, bodyJSON, bodyForm, bodyMulti, bodyBytes)
	c.oneOf("dedupe", c.p.Dedupe, dedupeID, dedupeFields, dedupeBody, dedupeSigned, dedupeNone)
	if c.p.Algorithm == algECDSA && c.p.Key != keySPKI {
		c.fault("key", "an ECDSA public key is written as spki")
	}
	if c.v.isHMAC() && (c.p.Key == keySPKI || c.p.Key == keyWhpk || c.p.Key == keyQQBot) {
		c.fault("key", "%s is a public key; an HMAC with it could be forged by anybody", c.p.Key)
	}
	if s := c.p.Ack.Status; s != 0 && (s < 200 || s > 299) {
		c.fault("ack.status", "must be a status from 200 to 299")
	}
	c.ackCases()
	if s := c.p.Ack.Reject; s != 0 && (s < 400 || s > 499) {
		c.fault("ack.reject", "must be a status from 400 to 499")
	}
}

func (c *compiler) guards() {
	for i, g := range c.p.Guards {
		field := fmt.Sprintf("guards[%d]", i)
		if g.Source == "" || len(g.Equals) == 0 {
			c.fault(field, "needs source and equals")
			continue
		}
		if g.Reason == "" {
			g.Reason = UnsupportedAlgorithm
		}
		c.v.guards = append(c.v.guards, requestGuard{c.source(field+".source", g.Source), g.Equals, g.Optional, g.Reason})
	}
}

// dedupe checks that the signature covers what tells events apart.
func (c *compiler) dedupe() {
	switch c.p.Dedupe {
	case dedupeID:
		if c.p.Identity.ID == "" {
			c.fault("dedupe", "id needs identity.id")
		} else if !c.v.Covers(c.p.Identity.ID) {
			c.fault("identity.id", "the signature does not cover %s: whoever captured one request could send it again under other ids; use dedupe: body", c.p.Identity.ID)
		}
	case dedupeFields:
		if len(c.p.Fields) == 0 {
			c.fault("dedupe", "fields needs a list of fields")
		}
	case dedupeBody:
		if known := c.v.coded != nil || c.v.content != nil; known && !c.v.traits.SignsBody && !c.v.traits.Bearer {
			c.fault("dedupe", "the signature does not reach all of the body: whoever captured one request could send it "+
				"again, changed, as another event; use dedupe: signed")
		}
	case dedupeSigned:
		if c.v.traits.Bearer {
			c.fault("dedupe", "this sender signs nothing; use dedupe: body")
		}
	}
	c.fields()
}

// fields checks the members of the object that dedupe: fields hashes.
func (c *compiler) fields() {
	for i, f := range c.p.Fields {
		if f.Key == "" || len(f.From) == 0 {
			c.fault(fmt.Sprintf("fields[%d]", i), "needs key and from")
		}
		for _, path := range f.From {
			if _, err := parseJSONPath(path); err != nil {
				c.fault(fmt.Sprintf("fields[%d].from", i), "%s", err)
			} else if c.p.Dedupe == dedupeFields && !c.v.Covers("body:"+path) {
				c.fault(fmt.Sprintf("fields[%d].from", i), "the signature does not cover %s", path)
			}
		}
	}
}

// signed compiles what is signed and where the signature stands.
func (c *compiler) signed() {
	parts, err := parseContent(c.p.Content, c.p.Params)
	if err != nil {
		c.fault("content", "%s", err)
	}
	c.v.content = parts
	c.v.bodySigned = c.signs(partBody)
	c.signature()
	c.timestamp()
	c.v.id = c.source("message_id", c.p.MessageID)
	if c.signs(partID) && c.p.MessageID == "" {
		c.fault("message_id", "{id} needs a source")
	}
	c.v.keyID = c.source("key_id", c.p.KeyID)
	if chars := c.p.URLUnescape; chars != "" {
		if strings.ContainsAny(chars, "%&=#") {
			c.fault("url_unescape", "must not hold any of %%&=#: the URL's meaning would change")
		}
		c.v.urlUnescape = unescaper(chars)
	}
}

// signs tells whether the content template holds a place of this kind.
func (c *compiler) signs(k partKind) bool {
	return slices.ContainsFunc(c.v.content, func(p contentPiece) bool { return p.kind == k })
}

func (c *compiler) signature() {
	s := &c.p.Signature
	c.oneOf("signature.grammar", s.Grammar, grammarPlain, grammarKV, grammarList)
	if !c.v.token() {
		c.oneOf("signature.encoding", s.Encoding, encHex, encBase64, encBase64URL)
	}
	c.headers(s)
	c.v.from = c.source("signature.from", c.each(s.From))
	if len(s.Headers) == 0 && s.Pattern == "" && s.From == "" {
		c.fault("signature", "needs headers, pattern or from")
	}
	if s.Grammar != grammarPlain && len(s.Keys) == 0 {
		c.fault("signature.keys", "grammar %s needs the keys that carry signatures", s.Grammar)
	}
	if s.Grammar != grammarPlain && s.Prefix != "" {
		c.fault("signature.prefix", "is for the plain grammar")
	}
	if c.v.token() && s.Grammar != grammarPlain {
		c.fault("signature.grammar", "credentials are plain")
	}
	if s.KeyPerHeader && !s.Every {
		c.fault("signature.key_per_header", "needs every: true")
	}
	c.v.separator = s.Separator
}

func (c *compiler) headers(s *Signature) {
	for _, name := range s.Headers {
		if param, ok := strings.CutPrefix(name, "{param:"); ok {
			name = c.p.Params[strings.TrimSuffix(param, "}")]
		}
		if !isToken(name) {
			c.fault("signature.headers", "%q is no header name", name)
		}
		c.v.headers = append(c.v.headers, name)
	}
	if s.Pattern == "" {
		return
	}
	head, tail, ok := strings.Cut(s.Pattern, "{n}")
	if !ok || head == "" {
		c.fault("signature.pattern", "must hold {n} after the beginning of a name")
	}
	c.v.patternHead, c.v.patternTail = head, tail
}

func (c *compiler) timestamp() {
	t := &c.p.Timestamp
	c.v.stamp = c.source("timestamp.from", t.From)
	c.v.signsStamp = c.signs(partTimestamp)
	if c.v.signsStamp && t.From == "" {
		c.fault("timestamp.from", "{timestamp} needs a source")
	}
	if t.Past < 0 || t.Future < 0 {
		c.fault("timestamp", "past and future must not be negative; unchecked: true turns the window off")
	}
	if t.WindowFirst && (t.From == "" || t.Unchecked) {
		c.fault("timestamp.window_first", "needs a window")
	}
	c.v.past, c.v.future = t.Past, t.Future
}

// isToken tells whether s can be a header's name (RFC 9110, token).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
