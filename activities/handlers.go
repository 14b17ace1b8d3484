package activities

import "github.com/grapnel/grapnel/activities/handler"

// Handlers is THE list of a fork: write a function in a file of its own, as a
// method of Activities, and bind it here. A module of your own needs no fork; it
// hands its list to grapnel.Main.
func (a *Activities) Handlers() *handler.Table {
	t := &handler.Table{}

	// handler.On(t, "stripe", "invoice.paid", a.InvoicePaid, handler.Attempts(5))

	return t
}
