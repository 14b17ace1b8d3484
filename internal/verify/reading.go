package verify

import (
	"net/url"
	"time"
)

// reading is the judging of one request, and what was read of the request so far. Readings are
// used again for later requests, so that judging one costs few allocations.
type reading struct {
	v      *Verifier
	r      *Request
	strict bool // a member that the body has twice is a fault
	exact  bool // a text that other bytes would give too is refused
	hidden bool // JSON is also looked for in the field payload of a form

	sigs     []candidate
	fromBody bool
	kv       string // the kv header
	id       string
	keyID    string
	stamp    string
	at       time.Time
	texts    []string // of the content's places
	unescape bool     // the URL is taken with its escapes undone
	form     url.Values
	query    url.Values

	scratch []byte
	sum     [64]byte
	decoded [256]byte
}

func (v *Verifier) open(r *Request) *reading {
	q, ok := v.readings.Get().(*reading)
	if !ok {
		q = &reading{scratch: make([]byte, 0, 256)}
	}
	q.v, q.r, q.strict = v, r, !v.bodySigned
	return q
}

// close forgets the request: nothing of it may be seen by the next one.
func (q *reading) close() {
	const keep = 1 << 20
	v := q.v
	clear(q.sigs)
	clear(q.texts)
	scratch := q.scratch
	if cap(scratch) > keep {
		scratch = nil
	}
	*q = reading{sigs: q.sigs[:0], texts: q.texts[:0], scratch: scratch[:0]}
	v.readings.Put(q)
}

// verify takes the checks in their order: secrets, presence, timestamp, signature, window. With
// window_first the window comes before the signature.
func (q *reading) verify(secrets []Secret, o *Options) *Failure {
	if f := checkUsable(secrets, o.Now); f != nil {
		return f
	}
	w := q.v.windowOf(o)
	if q.v.p.Timestamp.WindowFirst {
		if f := q.readStamp(w); f != nil {
			return f
		}
		if f := q.judgeWindow(o.Now, w); f != nil {
			return f
		}
	}
	if f := q.collect(); f != nil {
		return f
	}
	if q.v.token() {
		return q.checkToken(secrets, o)
	}
	if f := q.prepare(w); f != nil {
		return f
	}
	if f := q.checkSignature(secrets, o.Now); f != nil {
		return f
	}
	if f := q.checkForms(); f != nil {
		return f
	}
	return q.judgeWindow(o.Now, w)
}

// checkUsable refuses the request when there is no active secret that is not empty.
func checkUsable(secrets []Secret, now time.Time) *Failure {
	for i := range secrets {
		if secrets[i].Value != "" && secrets[i].Active(now) {
			return nil
		}
	}
	return Refuse(EmptySecret, "the source has no secret that counts now").at(StepPresence)
}

// prepare reads the parts of the signed content.
func (q *reading) prepare(w timestampWindow) *Failure {
	q.exact = true
	defer func() { q.exact = false }()
	if f := q.checkGuards(); f != nil {
		return f
	}
	if q.v.id != nil {
		text, n := q.read(q.v.id)
		if n != once {
			return Refuse(MissingID, "the request carries no message id, or more than one")
		}
		q.id = text
	}
	if f := q.readStamp(w); f != nil {
		return f
	}
	if q.v.keyID != nil {
		text, n := q.read(q.v.keyID)
		if n != once {
			return Refuse(UnknownKey, "the request names no key, or more than one").at(StepPresence)
		}
		q.keyID = text
	}
	return q.readTexts()
}

// readTexts reads the headers and JSON values of the content. An absent JSON value is signed as
// an empty text (Adyen); a request with an absent header is refused.
func (q *reading) readTexts() *Failure {
	for i := range q.v.content {
		q.texts = append(q.texts, "")
		p := &q.v.content[i]
		if p.kind != partPlace {
			continue
		}
		text, n := q.readPlace(&p.place)
		switch {
		case n == doubled:
			return Refuse(MalformedSignature, "a signed part of the request is there twice")
		case n == absent && p.place.kind == placeHeader:
			return Refuse(MissingID, "a signed header is absent")
		}
		q.texts[i] = text
	}
	return nil
}

func (q *reading) checkGuards() *Failure {
	for i := range q.v.guards {
		g := &q.v.guards[i]
		text, n := q.read(g.source)
		if n == absent && g.optional {
			continue
		}
		if n != once || !oneOf(g.equals, text) {
			return Refuse(g.reason, "a header does not hold what this sender sends").at(StepPresence)
		}
	}
	return nil
}
