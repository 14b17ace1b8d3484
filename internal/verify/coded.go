package verify

import "time"

// Coded is a rule that data cannot say. It is made once per source, by a
// constructor in newCoded's table, keeps its own caches, and is used by many
// requests at once.
type Coded interface {
	// Verify returns nil or a *Failure.
	Verify(r *Request, secrets []Secret, o Options) error
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

// CodedCover is a Coded that says which sources its signature covers.
type CodedCover interface {
	// Covers reports whether a source of an identity is under the signature.
	Covers(source string) bool
}

// CodedContent is a Coded that can show what it takes as the signed bytes.
type CodedContent interface {
	// Content gives the signed bytes, for `grapnel verify` to print.
	Content(r *Request) ([]byte, error)
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
