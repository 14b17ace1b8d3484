package verify

import (
	"encoding/json"
	"mime"
	"slices"
	"strings"
	"time"
)

// identity is where an event's attributes stand, compiled.
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

// Event is what a request says of its event. Empty means that it says nothing,
// or more than one thing. Texts are the sender's, of any length and content.
type Event struct {
	Type, ID, Subject string
	Time              time.Time
}

// Identify reads an event's attributes. Call it after Verify: before, they are
// whatever a stranger wrote.
func (v *Verifier) Identify(r *Request) Event {
	q := v.open(r)
	defer q.close()
	if v.p.Signature.Grammar == grammarKV && v.coded == nil {
		_ = q.collect() // For key: sources; the verdict fell before.
	}
	var e Event
	e.Type, _ = q.read(v.identity.kind)
	e.ID, _ = q.read(v.identity.id)
	e.Subject, _ = q.read(v.identity.subject)
	if text, n := q.read(v.identity.time); n == once {
		e.Time, _ = parseTime(v.identity.format, text)
	}
	return e
}

// Read gives the text of any source of a request, for what a source's owner
// names beyond the profile (order_by). Empty means absent, or more than one.
func (v *Verifier) Read(r *Request, text string) (string, error) {
	s, err := parseSource(text, v.p.Params)
	if err != nil {
		return "", err
	}
	q := v.open(r)
	defer q.close()
	value, _ := q.read(s)
	return value, nil
}

// BodyOK tells whether the body is of the kind that the sender sends. An empty
// body is none of JSON's business: some senders have events without one.
func (v *Verifier) BodyOK(r *Request) bool {
	switch v.p.Body {
	case bodyJSON:
		return len(r.Body) == 0 || json.Valid(r.Body)
	case bodyMulti:
		return len(r.Body) == 0 || !isJSONType(r) || json.Valid(r.Body)
	default:
		return true
	}
}

func isJSONType(r *Request) bool {
	text, _ := single(r.Header.Values("Content-Type"))
	kind, _, err := mime.ParseMediaType(text)
	return err == nil && kind == "application/json"
}

// Allows tells whether a method is one that events or handshakes of this sender
// come with.
func (v *Verifier) Allows(method string) bool { return slices.Contains(v.Methods(), method) }

// Methods are the methods that events and handshakes come with, sorted.
func (v *Verifier) Methods() []string {
	all := slices.Clone(v.p.Methods)
	for i := range v.handshakes {
		all = append(all, v.handshakes[i].Match.Method)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// IsEvent tells whether a method is one that events come with, and not only
// handshakes.
func (v *Verifier) IsEvent(method string) bool { return slices.Contains(v.p.Methods, method) }

// Covers reports whether the signature reaches a source, so that whoever
// captured a request cannot send it again with another text there. Where the
// sender shows a token, the token's holder can write every request as a whole:
// there all is covered or nothing is worth covering, and the answer is true.
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

// namesStamp tells whether a source is the whole of the {id} or the {timestamp}
// that is signed, or the first of their places.
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
