package main

import (
	"testing"

	"github.com/grapnel/grapnel/activities/handler/handlertest"
)

func TestInvoicePaid(t *testing.T) {
	result := handlertest.New(t, bind).Send("stripe", "invoice.paid")
	result.RequireHandled()
	result.RequireAttempts(1)
}

func TestAnInvoiceWithoutAnAmountIsADeadLetter(t *testing.T) {
	result := handlertest.New(t, bind).Send("stripe", "invoice.paid", handlertest.Set("data.object.amount_paid", 0))
	result.RequireDead("has an amount")
	result.RequireAttempts(1)
}
