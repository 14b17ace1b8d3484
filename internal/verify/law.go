package verify

import (
	"bytes"
	"strings"
)

// The law of this file is: one signature, one event. What identifies an event depends on nothing
// but what its signature binds. Two things can break that where parts of a request are joined
// before they are signed: a stranger may move the boundary between two parts, and so turn one
// captured request into others; and a plain hash may be continued behind its end. So the compiler
// looks for a way to read the content template in which every boundary is fixed, by literals or
// by the form of a part, and notes the forms that a request must then have. A template for which
// there is no such way is a fault, unless all that is signed identifies the event as one value.

// contentForms are the forms that a request must have so that its content can be read in only one
// way.
type contentForms struct {
	// container: the body is one JSON object or list, or nothing.
	container bool
	// tightBefore and tightAfter: no white space stands before or after the body, where it could
	// be taken for a piece of the neighbouring part.
	tightBefore, tightAfter bool
	// stamp: the timestamp is written with its full number of digits.
	stamp bool
	// keep lists parts that must not hold the literal next to them: the one after the part where
	// boundaries are found from the left, else the one before it.
	keep []forbiddenLiteral
	// printable: every text but the body is visible ASCII (see isPrintable), so that none can hold
	// the padding of a hash.
	printable bool
	// noChallenge: the body is not one that an unsigned handshake would sign.
	noChallenge bool
	// filled: an empty body is refused.
	filled bool
}

// forbiddenLiteral is a part of the content and the literal that it must not hold.
type forbiddenLiteral struct {
	part    int
	literal string
	before  bool // the literal stands before the part
}

// law finds the forms that a profile's requests must have.
func (c *compiler) law() {
	if c.v.content == nil || len(c.faults) > 0 {
		return
	}
	f, fixed := c.fixBoundaries()
	if !fixed && c.p.Dedupe != dedupeSigned && c.p.Dedupe != dedupeNone {
		c.fault("content", "two parts of any length stand side by side, so that one signature fits many requests; "+
			"put a literal between them, say body: json where the body is JSON, or dedupe: signed, "+
			"which takes all that is signed for one value")
	}
	if c.v.isHash() {
		f.printable = true
		c.extension(&f)
	}
	c.challenges(&f)
	for i := range c.v.content {
		if c.v.content[i].kind == partBody {
			f.tightBefore = i > 0 && c.mayHoldSpace(i-1)
			f.tightAfter = i+1 < len(c.v.content) && c.mayHoldSpace(i+1)
		}
	}
	c.v.forms = f
}

// mayHoldSpace tells whether a part may hold white space, so that white space of the body could
// be taken for a piece of it.
func (c *compiler) mayHoldSpace(i int) bool {
	switch c.v.content[i].kind {
	case partID, partPlace, partTimestamp:
		return true
	default:
		return false
	}
}

// isHash tells whether the algorithm is a plain hash, not an HMAC or a signature.
func (v *Verifier) isHash() bool { return v.newHash != nil && !v.isHMAC() }

// extension refuses a plain hash over a content that begins with the secret and can be continued:
// whoever knows SHA-256(secret‖a) can compute SHA-256(secret‖a‖padding‖b).
func (c *compiler) extension(f *contentForms) {
	last := c.v.content[len(c.v.content)-1]
	switch {
	case last.kind == partSecret, last.kind == partLiteral:
	case last.kind == partTimestamp && stampHasForm(c.p.Timestamp.Format):
		f.stamp = true
	case last.kind == partBody && c.p.Body == bodyJSON:
		f.container = true
	default:
		c.fault("content", "a plain hash that begins with the secret can be continued by anyone who has seen one; "+
			"say body: json where it ends with a JSON body, or put {secret} last")
	}
}

// challenges makes sure that what an unsigned handshake signs can never be the signed content of
// an event.
func (c *compiler) challenges(f *contentForms) {
	for i := range c.v.handshakes {
		if h := &c.v.handshakes[i]; !h.signs || h.Signed {
			continue
		}
		switch body := len(c.v.content) == 1 && c.v.content[0].kind == partBody; {
		case c.hasForeignLiteral():
		case body:
			f.noChallenge = true
		case c.signs(partBody) && c.p.Body == bodyJSON:
			f.container, f.filled = true, true
		default:
			c.fault("content", "the answer of handshake %s may be the signature of an event; put a literal into the content "+
				"that no challenge holds, a colon for instance, or say body: json", c.v.handshakes[i].Name)
		}
	}
}

// hasForeignLiteral tells whether the content holds a character that no challenge has.
func (c *compiler) hasForeignLiteral() bool {
	for i := range c.v.content {
		if p := &c.v.content[i]; p.kind == partLiteral && !isPlainToken(p.text) {
			return true
		}
	}
	return false
}

// fixBoundaries looks for the least strict forms under which all boundaries are fixed.
func (c *compiler) fixBoundaries() (f contentForms, fixed bool) {
	stamps := []bool{false}
	if c.signs(partTimestamp) && stampHasForm(c.p.Timestamp.Format) {
		stamps = append(stamps, true)
	}
	containers := []bool{false}
	if c.signs(partBody) && c.p.Body == bodyJSON {
		containers = append(containers, true)
	}
	for _, texts := range []bool{false, true} {
		for _, stamp := range stamps {
			for _, container := range containers {
				f = contentForms{container: container, stamp: stamp}
				if c.fixedBy(&f, texts) {
					return f, true
				}
			}
		}
	}
	return contentForms{}, false
}

// fixedBy tells whether forms fix all boundaries. Parts whose extent can be told from the left
// end or from the right end are taken off. Of the parts that are left, one may be anything; each
// other part must be separated from it by a literal that this other part does not hold.
// Timestamps in digits never hold a literal; texts tells whether other parts may be forbidden to
// hold one.
func (c *compiler) fixedBy(f *contentForms, texts bool) bool {
	parts := c.v.content
	from, to := 0, len(parts)
	for from < to && c.selfEnding(from, f) {
		from++
	}
	for to > from && c.selfBeginning(to-1, f) {
		to--
	}
	free := c.freest(from, to)
	for i := from; i < to; i++ {
		if parts[i].kind == partLiteral || i == free {
			continue
		}
		beside := i + 1
		if i > free {
			beside = i - 1
		}
		digits := parts[i].kind == partTimestamp && stampHasForm(c.p.Timestamp.Format) && c.p.Timestamp.Format != formatRFC3339
		if parts[beside].kind != partLiteral || !texts && !digits || parts[i].kind == partBody {
			return false
		}
		f.keep = append(f.keep, forbiddenLiteral{part: i, literal: parts[beside].text, before: i > free})
	}
	return true
}

// freest gives the part, of a range of parts, to which it would be worst to forbid anything; -1
// where all are literals.
func (c *compiler) freest(from, to int) int {
	free := -1
	for i := from; i < to; i++ {
		if c.v.content[i].kind != partLiteral && (free < 0 || c.freedom(i) > c.freedom(free)) {
			free = i
		}
	}
	return free
}

// freedom ranks a part: the higher, the worse it would be to forbid it anything.
func (c *compiler) freedom(i int) int {
	switch c.v.content[i].kind {
	case partBody:
		return 4
	case partPlace, partURL, partURLNoQuery:
		return 3
	case partID:
		return 2
	default:
		return 1
	}
}

// selfEnding tells whether whoever reads a part from its beginning can tell where it ends.
func (c *compiler) selfEnding(i int, f *contentForms) bool {
	switch p := &c.v.content[i]; p.kind {
	case partLiteral, partSecret:
		return true
	case partTimestamp:
		return f.stamp
	case partBody:
		return f.container
	case partMethod:
		// Methods are known words, and URLs begin with a small letter.
		return i+1 < len(c.v.content) && (c.v.content[i+1].kind == partURL || c.v.content[i+1].kind == partURLNoQuery)
	default:
		return false
	}
}

// selfBeginning tells whether whoever reads a part from its end can tell where it begins.
func (c *compiler) selfBeginning(i int, f *contentForms) bool {
	return c.v.content[i].kind != partMethod && c.selfEnding(i, f)
}

// stampHasForm tells whether timestamps of a format show where they begin and end.
func stampHasForm(format string) bool {
	return format == formatSeconds || format == formatMillis || format == formatRFC3339
}

// checkForms checks that a request has the forms that the law asks for.
func (q *reading) checkForms() *Failure {
	f := &q.v.forms
	if f.stamp && !hasFullForm(q.v.p.Timestamp.Format, q.stamp) {
		return Refuse(MalformedTimestamp, "the timestamp is not written as this sender writes it")
	}
	for _, k := range f.keep {
		text := q.partText(k.part, "")
		if k.before && strings.LastIndex(k.literal+text, k.literal) != 0 ||
			!k.before && strings.Index(text+k.literal, k.literal) != len(text) {
			return Refuse(MalformedSignature, "a signed part of the request holds the text that separates it from the next")
		}
	}
	if failure := q.checkTexts(f); failure != nil {
		return failure
	}
	return q.checkBody(f)
}

// checkTexts checks the parts other than the body.
func (q *reading) checkTexts(f *contentForms) *Failure {
	for i := range q.v.content {
		switch p := &q.v.content[i]; {
		case p.kind == partBody, p.kind == partSecret, p.kind == partLiteral:
		case p.kind == partMethod && !q.v.IsEvent(q.r.Method):
			return Refuse(MalformedSignature, "no event of this sender comes with the request's method")
		case (p.kind == partURL || p.kind == partURLNoQuery) && !isURL(q.partText(i, "")),
			f.printable && !isPrintable(q.partText(i, "")):
			return Refuse(MalformedSignature, "a signed part of the request holds characters that it must not hold")
		}
	}
	return nil
}

// checkBody checks the form of the body.
func (q *reading) checkBody(f *contentForms) *Failure {
	body := q.r.Body
	switch {
	case f.noChallenge && isPlainToken(string(body[:min(len(body), maxPlainToken+1)])):
		return Refuse(MalformedBody, "the body is a text that a handshake would sign for anybody; this sender sends JSON")
	case len(body) == 0 && f.filled:
		return Refuse(MalformedBody, "the body is empty")
	case len(body) == 0 && f.container && q.mayEndInBody():
		return Refuse(MalformedBody, "the body is empty, and the signed text before it ends as a body does")
	case len(body) > 0 && f.container && !f.isContainer(body):
		return Refuse(MalformedBody, "the body is no JSON object or list")
	}
	return nil
}

// mayEndInBody tells whether the text before an empty body could be taken for a body.
func (q *reading) mayEndInBody() bool {
	var before []byte
	for i := range q.v.content {
		if q.v.content[i].kind == partBody {
			break
		}
		before = q.appendPart(before, i, "")
	}
	before = bytes.TrimRight(before, " \t\r\n")
	return len(before) > 0 && (before[len(before)-1] == '}' || before[len(before)-1] == ']')
}

// isContainer tells whether a body is one JSON object or list, as far as that settles where it
// begins and ends: brackets are paired and strings are closed. No such text begins with another
// such text, or ends in one.
func (f *contentForms) isContainer(body []byte) bool {
	s := scanner{b: body}
	if !f.tightBefore {
		// The part before the body can't hold a byte order mark, so the mark belongs to the body.
		s.b = bytes.TrimPrefix(body, []byte(byteOrderMark))
		s.space()
	}
	if s.i == len(s.b) || s.b[s.i] != '{' && s.b[s.i] != '[' || !s.skipPaired() {
		return false
	}
	if !f.tightAfter {
		s.space()
	}
	return s.i == len(s.b)
}

// hasFullForm tells whether a timestamp has the full length of its format: ten digits for seconds
// (the years 2001 to 2286), thirteen for milliseconds.
func hasFullForm(format, text string) bool {
	switch format {
	case formatSeconds, formatMillis:
		_, ok := parseUnix(format, text)
		return ok && len(text) == map[string]int{formatSeconds: 10, formatMillis: 13}[format]
	default:
		_, ok := parseTime(format, text)
		return ok
	}
}

// isURL tells whether a text is a URL of http or https.
func isURL(s string) bool {
	return (strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")) && isPrintable(s)
}

// isPrintable tells whether a text holds only visible ASCII: no spaces, no control characters.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
