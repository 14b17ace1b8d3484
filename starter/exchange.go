package starter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/verify"
)

// exchange is one request and what is known of it so far.
type exchange struct {
	ctx   *fiber.Ctx
	began time.Time
	// whole is when the last byte of the body was read.
	whole   time.Time
	door    *door
	origin  origin
	request verify.Request
	event   *event.Event
	// collided is set when another event had the ID.
	collided bool
}

// exchange begins one.
func (s *Starter) exchange(c *fiber.Ctx, t *table) *exchange {
	return &exchange{ctx: c, began: s.now(), origin: originOf(c, t.config.TrustedProxies)}
}

// firstBytes is the room that is made for a body before more of it has come: a
// length alone costs its sender nothing.
const firstBytes = 64 << 10

// read reads the body, up to what the source allows and never cut. The bytes
// are the exchange's own: they outlive the request, whose buffers are reused.
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

// lingerBytes is how much more of a body that is too large is read.
const lingerBytes = 8 << 20

// linger reads on for a while before a body is refused as too large: closing a
// connection on which bytes wait resets it, and the sender would not hear why.
func linger(stream io.Reader) error {
	if stream != nil {
		_, _ = io.CopyN(io.Discard, stream, lingerBytes) // What is left is not wanted.
	}
	return tooLarge()
}

// decompress takes the body as it was signed, for the senders that compress it
// after that. It is bounded as the body is.
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

// json answers with a JSON text.
func (x *exchange) json(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	x.ctx.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	x.ctx.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	return x.ctx.Status(status).Send(append(b, '\n'))
}

// fields are what the log says of an exchange: no body, no secret.
func (x *exchange) fields(outcome string, err error) []zap.Field {
	f := make([]zap.Field, 0, 8)
	f = append(f, zap.String("outcome", outcome))
	if x.door != nil {
		f = append(f, zap.String("source", x.door.source.Name))
	}
	if x.event != nil {
		f = append(f, zap.String("type", event.Attribute(x.event.Type)), zap.String("event", x.event.ID))
	}
	if x.origin.client.IsValid() {
		f = append(f, zap.Stringer("client", x.origin.client))
	}
	if err != nil {
		f = append(f, zap.Error(err))
	}
	return f
}

// header is the header of a fasthttp request as the verifier reads it.
type header struct{ h *fasthttp.RequestHeader }

// Values gives all lines of a name, in the order they came.
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

// Names gives the names that are there, each once.
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
