package verify

import "time"

// Coded is a rule that data cannot say. A [Scheme] makes it once per source; it
// keeps its own caches and is used by many requests at once.
type Coded interface {
	// Verify returns nil or a *Failure.
	Verify(r *Request, secrets []Secret, o Options) error
	// Covers reports whether the signature reaches a place of the request. Kind
	// and name are those of a Source: header, body, form or query, and what it
	// is called there.
	Covers(kind, name string) bool
	// Content gives the signed bytes, for `grapnel verify` to print.
	Content(r *Request) ([]byte, error)
}

// CodedSigner is a Coded that can sign as the sender does.
type CodedSigner interface {
	// Sign gives the headers, and the URL where that changes (else "").
	Sign(r *Request, s Secret, now time.Time) (Additions, error)
}

// CodedHandshaker is a Coded with a handshake of its own, after verification.
type CodedHandshaker interface {
	// Handshake gives the answer, or nil where r is no handshake.
	Handshake(r *Request, o Options) (*Answer, error)
}

// CodedSecrets is a Coded whose secrets have a form.
type CodedSecrets interface {
	// CheckSecret says what is wrong with the text of a secret, and the cure, without
	// the text.
	CheckSecret(text string) error
}

// CodedIdentifier is a Coded whose signed bytes have several spellings for one event.
type CodedIdentifier interface {
	// Identify gives the one of a verified request.
	Identify(r *Request) []byte
}

// Scheme is one kind of coded verifier.
type Scheme struct {
	// New makes the verifier of a profile; the error says what is wrong with it.
	New func(p Profile) (Coded, error)
	// Traits tell the rest of the house what it must know of the verifier.
	Traits func(p Profile) Traits
}

// Schemes are the coded verifiers by the name of their algorithm.
type Schemes map[string]Scheme

// IsBearer tells whether requests of a profile prove knowledge of a token, or nothing,
// and so vouch for nothing of what they carry.
func (s Schemes) IsBearer(p Profile) bool {
	if scheme, coded := s[p.Algorithm]; coded {
		return scheme.Traits(p).Bearer
	}
	switch p.Algorithm {
	case algToken, algBearer, algBasic, algNone:
		return true
	}
	return false
}

// Traits are what others than the verifier must know of a profile's scheme.
type Traits struct {
	// Bearer tells that a request proves knowledge of a token, and nothing of
	// what it carries.
	Bearer bool
	// Fetches tells that a verdict may need a certificate or a key set that has
	// to be fetched.
	Fetches bool
	// Public tells that what stands under secrets is a public key or a name.
	Public bool
	// Keyless tells that the scheme verifies without a secret.
	Keyless bool
	// Dated tells that the request says when it was signed, so that a tolerance
	// can be judged.
	Dated bool
	// SignsBody tells that the signature is over all bytes of the body.
	SignsBody bool
	// SignsItems tells that each item of a batch is signed by itself.
	SignsItems bool
	// SignsURL tells that the signature is over the address that was called.
	SignsURL bool
	// Signs says in words what is signed, where no template does.
	Signs string
	// Caution is what the owner must be warned of, empty where there is nothing.
	Caution string
}

// HeaderLine is one header line.
type HeaderLine struct{ Name, Value string }

// Additions are what signing a request changes.
type Additions struct {
	Headers []HeaderLine
	// URL and Body replace the request's where they are not empty.
	URL  string
	Body []byte
}
