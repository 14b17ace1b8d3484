package verify

import (
	"slices"
	"strings"
)

// signed compiles what a signature is made over and where it stands.
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

// signs tells whether the content holds a place.
func (c *compiler) signs(k partKind) bool {
	return slices.ContainsFunc(c.v.content, func(p part) bool { return p.kind == k })
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
