package starter

import (
	"errors"
	"strconv"

	"github.com/gofiber/fiber/v2"
)

// refuse answers a request that is not taken.
func (s *Starter) refuse(x *exchange, err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		r = notDurable(err)
	}
	for k, v := range r.headers {
		x.ctx.Set(k, v)
	}
	if x.request.Header == nil {
		// The body was not read: what is left of it must not be taken for
		// another request.
		x.ctx.Context().SetConnectionClose()
	}
	defer s.observe(x, r.reason, r.status, r)
	return x.json(r.status, map[string]string{"error": r.message})
}

// fault answers what fails before or beside receive: no such path, a header that
// is too large.
func (s *Starter) fault(c *fiber.Ctx, err error) error {
	status := fiber.StatusInternalServerError
	if f, ok := errors.AsType[*fiber.Error](err); ok {
		status = f.Code
	}
	x := s.exchange(c, s.table.Load())
	return s.refuse(x, &refusal{
		status: status, reason: "http-" + strconv.Itoa(status), message: fiber.NewError(status).Message, cause: err,
	})
}

// observe tells the log and the observer how a request ended.
func (s *Starter) observe(x *exchange, outcome string, status int, r *refusal) {
	a := Answer{
		Outcome: outcome, Status: status, Took: s.now().Sub(x.began), Refused: r != nil, Collided: x.collided,
		Client: x.origin.client.String(), Method: x.ctx.Method(), Path: x.ctx.Path(), Body: x.request.Body,
		Header: func(yield func(name, value string) bool) {
			more := true
			x.ctx.Request().Header.VisitAll(func(k, v []byte) { more = more && yield(string(k), string(v)) })
		},
	}
	if x.door != nil {
		a.Source, a.Secret = x.door.source.Name, x.door.secretHeaders
	}
	if r != nil && r.cause != nil {
		a.Detail = r.cause.Error()
	}
	switch {
	case r != nil && status >= fiber.StatusInternalServerError:
		s.log.Error("event not taken", x.fields(outcome, r.cause)...)
	case r != nil:
		s.log.Warn("request refused", x.fields(outcome, r.cause)...)
	case outcome == string(Abandoned):
		s.log.Warn("repeat of an event that somebody ended by hand", x.fields(outcome, nil)...)
	default:
		s.log.Info("event received", x.fields(outcome, nil)...)
	}
	if s.observer != nil {
		s.observer.Answered(a)
	}
}
