package starter

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/verify"
)

// exchange is one request and what is known of it so far.
type exchange struct {
	ctx   *fiber.Ctx
	table *doorTable
	began time.Time
	// whole is when the last byte of the body was read.
	whole   time.Time
	framing framing
	door    *door
	origin  origin
	request verify.Request
	event   *event.Event
	// coding is the content coding of the body; empty where it has none.
	coding string
	// sample is set if the request was signed with this machine's development key.
	sample bool
	// outcome says how the request was answered; empty before that.
	outcome string
	// collided is set if another event had the event's ID.
	collided bool
	// body is the request's place in the crowd of bodies, until the request is verified; nil if
	// it has none.
	body *holding
}

// exchange begins an exchange.
func (s *Starter) exchange(c *fiber.Ctx, t *doorTable) *exchange {
	if s.observer != nil {
		s.observer.Began()
	}
	return &exchange{ctx: c, table: t, began: s.now(), origin: originOf(c, t.config.TrustedProxies)}
}

// firstBytes is the most memory that is allocated for a body before its bytes have come, because
// anybody can claim any length. firstChunked is the same for a body of unknown length.
const (
	firstBytes   = 64 << 10
	firstChunked = 4 << 10
)

// read reads the body and, for senders that compress a body after they have signed it,
// decompresses it. A body that is longer than the source allows is refused and never cut. Until
// the request is verified, its body has a place in the crowd of bodies.
func (s *Starter) read(x *exchange) error {
	if err := x.readCoding(); err != nil {
		return err
	}
	limit := int64(x.door.source.MaxBody)
	stream := x.framing.body(x.ctx.Request())
	g := guestOf(x.ctx.Context().Conn())
	first := min(x.framing.length, firstBytes)
	if x.framing.chunked {
		first = min(limit+1, firstChunked)
	}
	x.body = &holding{client: networkOf(x.origin.client), conn: g, bytes: first}
	s.bodies.enter(x.body)
	g.body(true)
	body, err := s.readAll(x, stream, limit)
	g.body(false)
	s.bodies.stay(x.body, true)
	switch {
	case s.bodies.evicted(x.body):
		return overloaded("the client held more unverified data than any other")
	case err != nil:
		return err
	}
	x.request = verify.Request{
		Method: x.ctx.Method(),
		URL:    x.door.publicURL(x),
		Query:  string(x.ctx.Request().URI().QueryString()),
		Header: x.framing.fields,
		Body:   body,
	}
	return s.decompress(x)
}

// readAll reads a stream to its end. Its memory grows with the bytes that have come.
func (s *Starter) readAll(x *exchange, stream io.Reader, limit int64) ([]byte, error) {
	if x.framing.length > limit {
		return nil, drainTooLarge(stream)
	}
	if stream == nil {
		return nil, nil
	}
	most := limit + 1 // One byte more shows that the body is too long.
	if !x.framing.chunked {
		most = x.framing.length
	}
	body := make([]byte, 0, x.body.bytes)
	for {
		if len(body) == cap(body) && int64(len(body)) < most {
			size := min(4*int64(cap(body)), most)
			if !s.bodies.grow(x.body, size-int64(cap(body))) {
				return nil, overloaded("unverified bodies use up all the memory for them")
			}
			body = slices.Grow(body, int(size)-len(body))
		}
		n, err := stream.Read(body[len(body):min(int64(cap(body)), most)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, drainTooLarge(stream)
		case errors.Is(err, io.EOF) && !x.framing.chunked && int64(len(body)) != x.framing.length:
			return nil, badBody(errors.New("the body ends before its length"))
		case errors.Is(err, io.EOF), !x.framing.chunked && int64(len(body)) == x.framing.length:
			return body, nil
		case err != nil:
			return nil, badBody(err)
		}
	}
}

// release takes a request out of the crowd of bodies.
func (s *Starter) release(x *exchange) {
	if x.body != nil {
		s.bodies.leave(x.body)
	}
}

// lingerBytes is how many bytes of a body that is too large are read.
const lingerBytes = 8 << 20

// drainTooLarge reads on in a body that is too large before it is refused. A connection that is
// closed while bytes wait on it is reset, and the sender would not see the answer.
func drainTooLarge(stream io.Reader) error {
	if stream != nil {
		_, _ = io.CopyN(io.Discard, stream, lingerBytes) // It is refused in any case.
	}
	return tooLarge()
}

// decompress decompresses the body of senders that compress after they have signed. The result
// has the same bound as a body, and takes its place in the crowd of bodies.
func (s *Starter) decompress(x *exchange) error {
	limit := x.door.source.MaxBody
	if x.door.profile.Gzip && x.framing.fields.first(fiber.HeaderContentEncoding) != "" && !s.bodies.grow(x.body, int64(limit)) {
		return overloaded("unverified bodies use up all the memory for them")
	}
	r, err := x.door.verifier.Decompress(&x.request, int(limit))
	switch {
	case errors.Is(err, verify.ErrTooLarge):
		return tooLarge()
	case err != nil:
		return x.door.unverified(err)
	}
	if r.Body != nil && len(r.Body) != len(x.request.Body) {
		x.coding = ""
	}
	x.request = *r
	return nil
}

// knownCodings gives the known content codings: those of IANA's registry and the older names that
// RFC 9110, section 8.4.1, still allows.
func knownCodings() []string {
	return []string{"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"}
}

// readCoding reads the content coding of a body, which is passed on with the event. An unknown
// coding is refused.
func (x *exchange) readCoding() error {
	var known []string
	for _, line := range x.framing.fields.Values(fiber.HeaderContentEncoding) {
		for name := range strings.SplitSeq(line, ",") {
			switch name = strings.ToLower(strings.TrimSpace(name)); {
			case name == "" || name == "identity":
			case !slices.Contains(knownCodings(), name):
				return unknownCoding()
			default:
				known = append(known, name)
			}
		}
	}
	x.coding = strings.Join(known, ", ")
	return nil
}
