package verify

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Header gives the values of a request's header, names without regard to case.
type Header interface {
	// Values gives the values of all lines of that name, in the order in which they came.
	Values(name string) []string
	// Names gives the names of the lines, each once.
	Names() []string
}

// Request is a request as it came: nothing in it is to be believed yet.
type Request struct {
	Method string
	// URL is the public URL that the sender was given: scheme, host, path and query.
	URL string
	// Query is the raw query, without the question mark.
	Query  string
	Header Header
	// Body is the raw body. It is read, not kept.
	Body []byte

	// batch and place are set for an event of a batch: the digest of the whole body, and the
	// event's place in it.
	batch string
	place int
}

// Secret is one key of a source.
type Secret struct {
	Value string
	// KeyID is the sender's name for the key, where it sends one (Pusher).
	KeyID string
	// From and Until bound the time in which the secret counts; zero is no bound.
	From, Until time.Time
}

// Active tells whether the secret counts at a time. A zero time stands for an unknown one, at
// which every secret counts.
func (s Secret) Active(t time.Time) bool {
	if t.IsZero() {
		return true
	}
	return (s.From.IsZero() || !t.Before(s.From)) && (s.Until.IsZero() || t.Before(s.Until))
}

// HTTPHeader is the Header of a net/http request. Names that are not in
// canonical form are found too.
type HTTPHeader http.Header

// Values implements Header.
func (h HTTPHeader) Values(name string) []string {
	canonical := http.CanonicalHeaderKey(name)
	values, found := h[canonical]
	for k, v := range h {
		if k != canonical && http.CanonicalHeaderKey(k) == canonical {
			if found {
				values = append(slices.Clip(values), v...)
				continue
			}
			values, found = v, true
		}
	}
	return values
}

// Names implements Header.
func (h HTTPHeader) Names() []string {
	seen := make(map[string]bool, len(h))
	names := make([]string, 0, len(h))
	for k := range h {
		if c := http.CanonicalHeaderKey(k); !seen[c] {
			seen[c] = true
			names = append(names, c)
		}
	}
	return names
}

// ErrTooLarge says that a body is larger than its limit once it is decompressed.
var ErrTooLarge = errors.New("the decompressed body is larger than the limit")

// Decompress gives the request with the body that the sender signed. Call it before Verify and go
// on with its result. The result is r itself, unless the profile has Gzip and the
// Content-Encoding is gzip. A decompressed body of more than limit bytes is ErrTooLarge, one that
// is not a gzip stream a *Failure.
func (v *Verifier) Decompress(r *Request, limit int) (*Request, error) {
	if !v.p.Gzip {
		return r, nil
	}
	encoding, n := singleText(r.Header.Values("Content-Encoding"))
	if n != once || !strings.EqualFold(encoding, "gzip") {
		return r, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		return nil, Refuse(MalformedSignature, "the body is no gzip stream, although its header says so")
	}
	body, err := io.ReadAll(io.LimitReader(z, int64(limit)+1))
	if err != nil {
		return nil, Refuse(MalformedSignature, "the body's gzip stream is broken")
	}
	if len(body) > limit {
		return nil, ErrTooLarge
	}
	plain := *r
	plain.Body = body
	return &plain, nil
}
