package verify

import (
	"bytes"
	"encoding/json"
	"mime"
	"slices"
	"strings"
	"time"
)

// identity is a compiled Identity.
type identity struct {
	kind, id, subject, time source
	format                  string
}

func (c *compiler) identity() {
	i := &c.p.Identity
	c.v.identity = identity{
		kind:    c.source("identity.type", i.Type),
		id:      c.source("identity.id", i.ID),
		subject: c.source("identity.subject", i.Subject),
		time:    c.source("identity.time", i.Time),
		format:  i.TimeFormat,
	}
	if i.Time == "" {
		c.v.identity.time, c.v.identity.format = c.v.stamp, c.p.Timestamp.Format
	}
}

// Event is what a request says of its event. An empty field means that the request says nothing,
// or more than one thing. The texts are the sender's, of any length and content.
type Event struct {
	Type, ID, Subject string
	Time              time.Time
}

// Identify reads an event's attributes. Call it only after Verify: before that, a stranger may
// have written them.
func (v *Verifier) Identify(r *Request) Event {
	q := v.open(r)
	defer q.close()
	q.hidden = true
	if v.p.Signature.Grammar == grammarKV && v.coded == nil {
		_ = q.collect() // For key: sources; the verdict fell before.
	}
	var e Event
	e.Type, _ = q.read(v.identity.kind)
	e.ID = q.readID()
	e.Subject, _ = q.read(v.identity.subject)
	if text, n := q.read(v.identity.time); n == once {
		e.Time, _ = parseTime(v.identity.format, text)
	}
	return e
}

// Distinction is what tells an event from others of its source: an ID of the sender, fields of
// the body, or bytes.
type Distinction struct {
	// ID is the sender's own ID of the event; empty where Fields or Bytes identify it.
	ID string
	// Fields are the fields of the body that identify the event. Where they are missing, or can
	// be read in more than one way, the whole body identifies it.
	Fields []Field
	// Bytes identify the event where neither ID nor Fields do: the body if the signature covers
	// its bytes, else all that is signed. If Bytes is nil too, nothing identifies the event, and
	// each request is an event of its own.
	Bytes []byte
}

// Distinguish reads what tells the event of a verified request from others. The result depends on
// nothing but what the signature binds. Its bytes may share memory with the request.
func (v *Verifier) Distinguish(r *Request) Distinction {
	i := Distinction{}
	switch v.p.Dedupe {
	case dedupeNone:
		return i
	case dedupeID:
		q := v.open(r)
		defer q.close()
		if v.p.Signature.Grammar == grammarKV && v.coded == nil {
			_ = q.collect()
		}
		if i.ID = q.readID(); i.ID != "" {
			return i
		}
	case dedupeFields:
		i.Fields = v.p.Fields
	}
	i.Bytes = v.identifying(r)
	return i
}

// identifying gives the bytes that identify an event: the body if the signature covers it, else
// all that is signed.
func (v *Verifier) identifying(r *Request) []byte {
	switch {
	case r.batch != "" && !v.traits.SignsItems:
		return r.name() // The same bytes may stand in another batch, as another event.
	case v.traits.Bearer && len(r.Body) == 0:
		return nil // Empty bodies are all the same, and may be different events.
	case v.traits.Bearer, v.traits.SignsBody && v.p.Dedupe != dedupeSigned && len(r.Body) > 0:
		return r.Body
	}
	if c, ok := v.coded.(CodedIdentifier); ok {
		return c.Identify(r)
	}
	content, err := v.signedContent(r)
	if err != nil {
		return r.Body // Not after Verify.
	}
	return content
}

// signedContent gives the signed content with each part in one fixed spelling, so that the same
// event always gives the same bytes.
func (v *Verifier) signedContent(r *Request) ([]byte, error) {
	if v.coded != nil || v.content == nil {
		return v.Content(r)
	}
	q := v.open(r)
	defer q.close()
	if f := q.collect(); f != nil {
		return nil, f
	}
	if f := q.prepare(timestampWindow{}); f != nil {
		return nil, f
	}
	q.unescape = v.urlUnescape != nil
	return q.appendContent([]byte{}, ""), nil
}

// readID gives the sender's ID of the event; empty where there is none, or where it can be read
// in more than one way.
func (q *reading) readID() string {
	q.exact, q.hidden = true, true
	defer func() { q.exact = false }()
	for i := range q.v.identity.id {
		if text, n := q.readApart(&q.v.identity.id[i]); n != absent {
			return text
		}
	}
	return ""
}

// readApart joins the texts of several places so that no other texts give the same result: a
// space stands between them, and in the texts a space is written %20 and a % is written %25. With
// +, an absent text leaves its place empty.
func (q *reading) readApart(j *joint) (string, presence) {
	if len(j.places) == 1 {
		return q.readPlace(&j.places[0])
	}
	texts := make([]string, len(j.places))
	there := false
	for i := range j.places {
		text, n := q.readPlace(&j.places[i])
		if n == doubled || n == absent && j.tight {
			return "", n
		}
		there = there || n == once
		texts[i] = strings.NewReplacer("%", "%25", " ", "%20").Replace(text)
	}
	if !there {
		return "", absent
	}
	return strings.Join(texts, " "), once
}

// BodyOK tells whether the body is of the kind that the sender sends. An empty body is allowed
// even where JSON is expected: some senders have events without a body.
func (v *Verifier) BodyOK(r *Request) bool {
	switch v.p.Body {
	case bodyJSON:
		return len(r.Body) == 0 || validJSON(r.Body)
	case bodyMulti:
		return len(r.Body) == 0 || !isJSONType(r) || validJSON(r.Body)
	default:
		return true
	}
}

// validJSON tells whether a body is JSON, with or without a byte order mark before it.
func validJSON(body []byte) bool { return json.Valid(bytes.TrimPrefix(body, []byte(byteOrderMark))) }

func isJSONType(r *Request) bool {
	text, _ := singleText(r.Header.Values("Content-Type"))
	kind, _, err := mime.ParseMediaType(text)
	return err == nil && kind == "application/json"
}

// Allows tells whether events or handshakes of this sender come with a method.
func (v *Verifier) Allows(method string) bool { return slices.Contains(v.Methods(), method) }

// Methods gives the methods with which events and handshakes come, sorted.
func (v *Verifier) Methods() []string {
	all := slices.Clone(v.p.Methods)
	for i := range v.handshakes {
		all = append(all, v.handshakes[i].Match.Method)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// IsEvent tells whether events come with a method, and not only handshakes.
func (v *Verifier) IsEvent(method string) bool { return slices.Contains(v.p.Methods, method) }

// Covers tells whether the signature covers a source, so that whoever has captured a request
// can't send it again with another text there. Where the sender shows only a token, whoever knows
// the token can write whole requests; there it makes no difference, and the answer is true.
func (v *Verifier) Covers(text string) bool {
	if v.token() {
		return true
	}
	if v.p.Algorithm == algNone {
		return false
	}
	s, err := parseSource(text, v.p.Params)
	if err != nil {
		return false
	}
	if v.namesStamp(text) {
		return true
	}
	for _, j := range s {
		for i := range j.places {
			if !v.coversPlace(&j.places[i]) {
				return false
			}
		}
	}
	return true
}

// namesStamp tells whether a source is the signed {id} or {timestamp}, or the first of their
// alternatives.
func (v *Verifier) namesStamp(text string) bool {
	signed := func(kind partKind, whole string) bool {
		first, _, _ := strings.Cut(whole, "|")
		return whole != "" && (text == whole || strings.TrimSpace(text) == strings.TrimSpace(first)) &&
			v.hasPart(kind)
	}
	return signed(partID, v.p.MessageID) || signed(partTimestamp, v.p.Timestamp.From)
}

func (v *Verifier) hasPart(kind partKind) bool {
	for i := range v.content {
		if v.content[i].kind == kind {
			return true
		}
	}
	return false
}

func (v *Verifier) coversPlace(p *place) bool {
	if p.kind == placeConst {
		return true
	}
	if v.coded != nil {
		kind, name, _ := strings.Cut(p.raw, ":")
		name, _, _ = strings.Cut(name, "#")
		return v.coded.Covers(kind, name)
	}
	if (p.kind == placeBody || p.kind == placeForm || p.kind == placeMember) && v.bodySigned {
		return true
	}
	if p.kind == placeQuery && v.hasPart(partURL) {
		return true
	}
	if v.namesStamp(p.raw) {
		return true
	}
	for i := range v.content {
		c := &v.content[i]
		if c.kind == partPlace && c.place.kind == p.kind && strings.EqualFold(c.place.name, p.name) {
			return p.kind == placeHeader || c.place.name == p.name
		}
	}
	return false
}
