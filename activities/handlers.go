package activities

import "github.com/grapnel/grapnel/activities/handler"

// Handlers is the list of handlers that a fork edits: write a handler as a method of Activities,
// in a file of its own, and bind it here. A module of your own needs no fork: it hands its list
// to grapnel.Main.
func (a *Activities) Handlers() *handler.Table {
	t := &handler.Table{}

	// handler.On(t, "stripe", "invoice.paid", a.InvoicePaid, handler.Attempts(5))

	return t
}
