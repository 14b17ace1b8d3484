package verify

import (
	"hash"
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
	content []part
	newHash func() hash.Hash
	size    int // of the hash

	headers                  []string
	patternHead, patternTail string
	separator                string
	from, stamp, id, keyID   source
	each                     *eachPath
	signsStamp               bool
	past, future             time.Duration
	guards                   []guard
	urlUnescape              *strings.Replacer
	bodySigned               bool // the whole body is under the signature
	forms                    forms

	identity   identity
	handshakes []handshake

	keysMu   sync.Mutex
	keys     atomic.Pointer[map[string]*key]
	readings sync.Pool
}

type guard struct {
	source   source
	equals   []string
	optional bool
	reason   Reason
}

// Profile gives back what was compiled, with its defaults filled in.
func (v *Verifier) Profile() Profile { return v.p }

// Verify judges a request: nil, or a *Failure. Every active secret and every
// signature is tried, in constant time; without a secret all is refused.
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

// Traits are what others must know of the scheme.
func (v *Verifier) Traits() Traits { return v.traits }

// Content gives the bytes that the sender should have signed, for the owner who
// looks for why a request was refused. It must not reach the caller of the
// endpoint. {secret} stands as itself.
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
	if f := q.prepare(window{}); f != nil {
		return nil, f
	}
	return q.appendContent(nil, "{secret}"), nil
}

// RejectStatus is the status with which this sender expects a wrong signature
// to be refused: 401 but for those that name another.
func (v *Verifier) RejectStatus() int {
	if v.p.Ack.Reject != 0 {
		return v.p.Ack.Reject
	}
	return 401
}
