package verify

import (
	"hash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Verifier is a compiled Profile. It is safe for use by many goroutines.
type Verifier struct {
	p       Profile
	coded   Coded
	traits  Traits
	content []contentPiece
	newHash func() hash.Hash
	size    int // of the hash

	headers                  []string
	patternHead, patternTail string
	separator                string
	from, stamp, id, keyID   source
	each                     *eachPath
	signsStamp               bool
	past, future             time.Duration
	guards                   []requestGuard
	urlUnescape              *strings.Replacer
	bodySigned               bool // the whole body is under the signature
	forms                    contentForms

	items      jsonPath // of a batch
	identity   identity
	ackCases   []ackCase
	handshakes []handshake

	keysMu   sync.Mutex
	keys     atomic.Pointer[map[string]*key]
	readings sync.Pool
}

type requestGuard struct {
	source   source
	equals   []string
	optional bool
	reason   Reason
}

// Profile gives the profile that was compiled, with its defaults filled in.
func (v *Verifier) Profile() Profile { return v.p }

// Verify judges a request. It returns nil or a *Failure. It tries every active secret on every
// signature, in constant time. Without a secret every request is refused.
func (v *Verifier) Verify(r *Request, secrets []Secret, o Options) error {
	var f *Failure
	switch {
	case v.coded != nil:
		return v.coded.Verify(r, secrets, o)
	case v.p.Algorithm == algNone:
		return nil
	default:
		q := v.open(r)
		f = q.verify(secrets, &o)
		q.close()
	}
	if f != nil {
		return f
	}
	return nil
}

// Traits gives what others than the verifier must know of the scheme.
func (v *Verifier) Traits() Traits { return v.traits }

// Content gives the bytes that the sender should have signed, for the source's owner who wants to
// know why a request was refused. They must never be sent in an answer. {secret} is left as it
// is.
func (v *Verifier) Content(r *Request) ([]byte, error) {
	if v.coded != nil {
		return v.coded.Content(r)
	}
	if v.content == nil {
		return nil, nil
	}
	q := v.open(r)
	defer q.close()
	if f := q.collect(); f != nil {
		return nil, f
	}
	if f := q.prepare(timestampWindow{}); f != nil {
		return nil, f
	}
	return q.appendContent(nil, "{secret}"), nil
}

// RejectStatus gives the HTTP status with which the sender expects a wrong signature to be
// refused: 401, unless the profile says otherwise.
func (v *Verifier) RejectStatus() int {
	if v.p.Ack.Reject != 0 {
		return v.p.Ack.Reject
	}
	return 401
}

// ackCase is a compiled AckCase.
type ackCase struct {
	equals []sourceText
	ack    Ack
}

type sourceText struct {
	source source
	text   string
}

func (c *compiler) ackCases() {
	for i := range c.p.Ack.Cases {
		it := &c.p.Ack.Cases[i]
		if it.Status != 0 && (it.Status < 200 || it.Status > 299) {
			c.fault("ack.cases", "must have a status from 200 to 299")
		}
		compiled := ackCase{ack: Ack{Status: it.Status, ContentType: it.ContentType, Body: it.Body, Empty: it.Empty, Reject: c.p.Ack.Reject}}
		for _, name := range slices.Sorted(maps.Keys(it.Equals)) {
			compiled.equals = append(compiled.equals, sourceText{c.source("ack.cases", name), it.Equals[name]})
		}
		c.v.ackCases = append(c.v.ackCases, compiled)
	}
}

// Ack gives the answer that the sender expects for an accepted event.
func (v *Verifier) Ack(r *Request) Ack {
	if len(v.ackCases) == 0 {
		return v.p.Ack
	}
	q := v.open(r)
	defer q.close()
	for i := range v.ackCases {
		holds := func(e sourceText) bool {
			text, n := q.read(e.source)
			return n == once && text == e.text
		}
		if c := &v.ackCases[i]; !slices.ContainsFunc(c.equals, func(e sourceText) bool { return !holds(e) }) {
			return c.ack
		}
	}
	return v.p.Ack
}
