package main

import (
	"context"
	"errors"

	"github.com/grapnel/grapnel/activities/handler"
)

// InvoicePaid is the body of Stripe's invoice.paid, as far as the shop reads it.
type InvoicePaid struct {
	Data struct {
		Object struct {
			ID         string `json:"id"`
			AmountPaid int    `json:"amount_paid"`
			Currency   string `json:"currency"`
		} `json:"object"`
	} `json:"data"`
}

// invoicePaid books an invoice.
func (s *shop) invoicePaid(ctx context.Context, e handler.Event[InvoicePaid]) error {
	invoice := e.Payload.Data.Object
	if invoice.AmountPaid <= 0 {
		return handler.Permanent(errors.New("an invoice that is paid has an amount"))
	}
	s.log.InfoContext(ctx, "invoice paid", "event", e.ID, "invoice", invoice.ID,
		"amount", invoice.AmountPaid, "currency", invoice.Currency)
	return nil
}
