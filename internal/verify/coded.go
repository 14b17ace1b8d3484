package verify

import "time"

// Coded verifies by a rule that data can't express. A [Scheme] makes one for each source. It
// keeps its own caches and is used by many requests at once.
type Coded interface {
	// Verify returns nil or a *Failure.
	Verify(r *Request, secrets []Secret, o Options) error
	// Covers tells whether the signature covers a place of the request. kind and name are those
	// of a Source: header, body, form or query, and the name there.
	Covers(kind, name string) bool
	// Content gives the signed bytes, for `grapnel verify` to print.
	Content(r *Request) ([]byte, error)
}

// CodedSigner is a Coded that can sign as the sender does.
type CodedSigner interface {
	// Sign gives the headers, and the URL where that changes (else "").
	Sign(r *Request, s Secret, now time.Time) (Additions, error)
}

// CodedHandshaker is a Coded with a handshake of its own, which is looked for after verification.
type CodedHandshaker interface {
	// Handshake gives the answer, or nil where r is no handshake.
	Handshake(r *Request, o Options) (*Answer, error)
}

// CodedSecrets is a Coded whose secrets must have a certain form.
type CodedSecrets interface {
	// CheckSecret says what is wrong with the text of a secret and how to mend it, without
	// quoting the text.
	CheckSecret(text string) error
}

// CodedIdentifier is a Coded that may sign different bytes for the same event.
type CodedIdentifier interface {
	// Identify gives, for a verified request, bytes that are the same for the same event.
	Identify(r *Request) []byte
}

// Scheme is one kind of coded verifier.
type Scheme struct {
	// New makes the verifier of a profile; the error says what is wrong with it.
	New func(p Profile) (Coded, error)
	// Traits says what others than the verifier must know of it.
	Traits func(p Profile) Traits
}

// Schemes are the coded verifiers by the name of their algorithm.
type Schemes map[string]Scheme

// IsBearer tells whether requests of a profile prove at most that their sender knows a token, and
// so nothing about their content.
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

// Traits is what others than the verifier must know of a profile's scheme.
type Traits struct {
	// Bearer tells that a request proves only that its sender knows a token, and nothing about
	// its content.
	Bearer bool
	// Fetches tells that a certificate or a key set may have to be fetched before a request can
	// be judged.
	Fetches bool
	// Public tells that the source's secrets are public keys or names.
	Public bool
	// Keyless tells that the scheme verifies without a secret.
	Keyless bool
	// Dated tells that a request says when it was signed, so that its age can be judged.
	Dated bool
	// SignsBody tells that the signature is over all bytes of the body.
	SignsBody bool
	// SignsItems tells that each item of a batch is signed by itself.
	SignsItems bool
	// SignsURL tells that the signature covers the URL that was called.
	SignsURL bool
	// Signs says in words what is signed, where the profile has no template for it.
	Signs string
	// Caution is what the source's owner must be warned of; may be empty.
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
