package verify

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
)

// ErrTooLarge is a body that is larger than its limit once it is decompressed.
var ErrTooLarge = errors.New("the decompressed body is larger than the limit")

// Decompress gives the request whose body this sender signed. Only for profiles
// with Gzip, and only where Content-Encoding says gzip, is that another one than
// r; its body is at most limit bytes, else the error is ErrTooLarge. A body that
// is no gzip stream is a *Failure. Call it before Verify and go on with what it
// gives: the signature is over those bytes.
func (v *Verifier) Decompress(r *Request, limit int) (*Request, error) {
	if !v.p.Gzip {
		return r, nil
	}
	encoding, n := single(r.Header.Values("Content-Encoding"))
	if n != once || !strings.EqualFold(encoding, "gzip") {
		return r, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		return nil, refuse(MalformedSignature, StepPresence, "the body is no gzip stream, although its header says so")
	}
	body, err := io.ReadAll(io.LimitReader(z, int64(limit)+1))
	if err != nil {
		return nil, refuse(MalformedSignature, StepPresence, "the body's gzip stream is broken")
	}
	if len(body) > limit {
		return nil, ErrTooLarge
	}
	plain := *r
	plain.Body = body
	return &plain, nil
}
