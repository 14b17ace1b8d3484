package verify

import (
	"net/url"
	"time"
)

// reading is one request being judged: what was read of it so far. Readings
// are kept for the next request, so that judging one costs few allocations.
type reading struct {
	v      *Verifier
	r      *Request
	strict bool // a doubled member of the body counts as a fault
	exact  bool // a text that could be read from others has none
	hidden bool // the JSON is looked for in a form's payload too

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

// close forgets the request; nothing of it may outlive it.
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

// verify is the rule in its order: secrets, presence, timestamp, signature,
// window (or the window before all else where the profile says so).
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

// checkUsable fails closed when no secret could vouch for anything.
func checkUsable(secrets []Secret, now time.Time) *Failure {
	for i := range secrets {
		if secrets[i].Value != "" && secrets[i].Active(now) {
			return nil
		}
	}
	return Refuse(EmptySecret, "the source has no secret that counts now").at(StepPresence)
}

// prepare reads what the signed content is made of.
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

// readTexts reads the content's headers and JSON values. An absent JSON value
// is signed as nothing (Adyen); an absent header is a request cut short.
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
