package starter

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/verify"
)

// exchange is one request, and what is known of it so far.
type exchange struct {
	ctx   *fiber.Ctx
	began time.Time
	// whole is when the last byte of the body was read.
	whole   time.Time
	door    *door
	origin  origin
	request verify.Request
	event   *event.Event
	// collided is set where another event had the ID.
	collided bool
}

// exchange begins the exchange of a request.
func (s *Starter) exchange(c *fiber.Ctx, t *table) *exchange {
	return &exchange{ctx: c, began: s.now(), origin: originOf(c, t.config.TrustedProxies)}
}

// firstBytes is the most memory that is taken for a body before its bytes are there: a
// sender can claim any length.
const firstBytes = 64 << 10

// read reads the body. One that is longer than the source allows is refused and never
// cut. The bytes are a copy, because fasthttp uses its buffers again.
func (x *exchange) read(d *door) error {
	limit := int64(d.source.MaxBody)
	req := x.ctx.Request()
	length, stream := int64(req.Header.ContentLength()), req.BodyStream()
	if length > limit {
		return linger(stream)
	}
	var body []byte
	if stream != nil {
		buf := bytes.NewBuffer(make([]byte, 0, min(max(length, 0), firstBytes)+bytes.MinRead))
		if _, err := buf.ReadFrom(io.LimitReader(stream, limit+1)); err != nil {
			return unreadable(err)
		}
		body = buf.Bytes()
	} else {
		body = bytes.Clone(req.Body())
	}
	switch {
	case int64(len(body)) > limit:
		return linger(stream)
	case length >= 0 && int64(len(body)) != length:
		return unreadable(errors.New("the body ends before its length"))
	}
	x.request = verify.Request{
		Method: x.ctx.Method(),
		URL:    d.publicURL(x),
		Query:  string(req.URI().QueryString()),
		Header: header{&req.Header},
		Body:   body,
	}
	return x.decompress(d)
}

// lingerBytes is how much is read of a body that is too large.
const lingerBytes = 8 << 20

// linger reads some of a body that is too large before it is refused. To close a
// connection while bytes wait on it would reset it, and the sender would not see why.
func linger(stream io.Reader) error {
	if stream != nil {
		_, _ = io.CopyN(io.Discard, stream, lingerBytes) // It is refused in any case.
	}
	return tooLarge()
}

// decompress undoes the compression of senders that compress a body after they have
// signed it. What comes out is bounded as the body is.
func (x *exchange) decompress(d *door) error {
	r, err := d.verifier.Decompress(&x.request, int(d.source.MaxBody))
	switch {
	case errors.Is(err, verify.ErrTooLarge):
		return tooLarge()
	case err != nil:
		return unverified(err, d.verifier.RejectStatus())
	}
	x.request = *r
	return nil
}

// header is a fasthttp request's header as the verifier reads it.
type header struct{ h *fasthttp.RequestHeader }

// Values gives all values of a name, in the order in which they came.
func (h header) Values(name string) []string {
	lines := h.h.PeekAll(name)
	if len(lines) == 0 {
		return nil
	}
	values := make([]string, len(lines))
	for i, l := range lines {
		values[i] = string(l)
	}
	return values
}

// Names gives all names, each once.
func (h header) Names() []string {
	seen := map[string]bool{}
	var names []string
	h.h.VisitAll(func(k, _ []byte) {
		if name := string(k); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	})
	return names
}
