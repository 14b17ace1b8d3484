package starter

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// anyMethod sees to it that a method which Fiber does not know is refused as any
// other that a source does not take: Fiber answers it by itself, so that nobody
// hears of it, and what is left of its body would be taken for a request.
func (s *Starter) anyMethod(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(r *fasthttp.RequestCtx) {
		if slices.Contains(fiber.DefaultMethods, string(r.Method())) {
			next(r)
			return
		}
		c := s.app.AcquireCtx(r)
		defer s.app.ReleaseCtx(c)
		t := s.table.Load()
		x := s.exchange(c, t)
		why := unknownSource()
		if name, ok := strings.CutPrefix(c.Path(), "/webhooks/"); ok && t.doors[name] != nil {
			x.door = t.doors[name]
			why = x.door.wrongMethod()
		}
		_ = s.refuse(x, why) // It is written already.
	}
}
