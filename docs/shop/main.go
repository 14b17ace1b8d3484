// Command shop is grapnel with a handler of a shop's own: the worked example of
// docs/handlers.md.
package main

import (
	"log/slog"

	"github.com/grapnel/grapnel"
	"github.com/grapnel/grapnel/activities/handler"
)

func main() { grapnel.Main(bind) }

func bind(t *handler.Table, d handler.Deps) {
	s := &shop{log: d.Log}
	handler.On(t, "stripe", "invoice.paid", s.invoicePaid, handler.Attempts(5))
}

// shop is what the handlers work with.
type shop struct {
	log *slog.Logger
}
