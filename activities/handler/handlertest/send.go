package handlertest

import "time"

// SendOption changes a sample before it is sent.
type SendOption func(*sending)

type sending struct {
	set    []change
	body   []byte
	forged bool
	skew   time.Duration
}

// change is a value that a place in the body gets.
type change struct {
	path  string
	value any
}

// Set puts a value into the JSON body of the sample, at a path such as
// "data.object.amount" or "items.0.id".
func Set(path string, value any) SendOption {
	return func(s *sending) { s.set = append(s.set, change{path, value}) }
}

// Body sends another body.
func Body(body []byte) SendOption { return func(s *sending) { s.body = body } }

// Forged signs with a secret that the receiver does not know.
func Forged() SendOption { return func(s *sending) { s.forged = true } }

// Skew signs at another time than the kit's: -10m is ten minutes ago.
func Skew(d time.Duration) SendOption { return func(s *sending) { s.skew = d } }
