// Package grapnel is the command line of grapnel with handlers of one's own. A program that adopts
// it is a module of its own, with no fork:
//
//	package main
//
//	import (
//		"github.com/grapnel/grapnel"
//		"github.com/grapnel/grapnel/activities/handler"
//	)
//
//	func main() { grapnel.Main(bind) }
//
//	func bind(t *handler.Table, d handler.Deps) {
//		handler.On(t, "stripe", "invoice.paid", invoicePaid)
//	}
//
// It has every command of the stock program, which is cmd/grapnel. How a handler is written stands
// in the package activities/handler.
package grapnel
