package handlertest

import (
	"fmt"
	"strings"
	"time"
)

// Result is what became of an event.
type Result struct {
	// ID is the event's ID; empty if the receiver refused the request.
	ID string
	// Status and Answer are the receiver's answer, usually 200 and a JSON object.
	Status int
	Answer string
	// Duplicate is set for an event that was known already, and Replayed for a dead
	// letter that this request revived.
	Duplicate, Replayed bool
	// Attempts are the attempts since the request, in order. Attempts that several handlers made
	// at the same time stand in any order.
	Attempts []Attempt
	// Failures say why the event is a dead letter: one for each handler that failed for good, or
	// one without a handler if none took the event. There are none if the event was handled.
	Failures []Failure
	// Text is what the Web UI shows of the dead letter.
	Text string
	// Settled is when the event was settled, by the kit's clock.
	Settled time.Time

	kit    *Kit
	letter *savedRequest
	before int
}

// Attempt is one attempt at a handler.
type Attempt struct {
	// Handler is the name of the binding: "stripe/invoice/paid".
	Handler string
	// Number is the number of the attempt; the first is 1.
	Number int
	// At is when the attempt was made, by the kit's clock.
	At time.Time
	// Error is the error that the handler returned; empty if it succeeded.
	Error string
	// Permanent is set if the handler marked the error as permanent.
	Permanent bool
}

// Failure is one reason why an event is a dead letter.
type Failure struct {
	// Handler is the name of the binding; empty where no handler took the event.
	Handler string
	// Type is the type of the error, Timeout, Panic or NoHandler.
	Type string
	// Message is the text of the error.
	Message string
	// Stack is the stack of a panic.
	Stack string
	// Attempts is the number of attempts made.
	Attempts int
}

// Handled tells whether every handler of the event succeeded, and at least one
// did.
func (r *Result) Handled() bool { return r.ID != "" && len(r.Failures) == 0 }

// RequireHandled fails the test unless the event was handled.
func (r *Result) RequireHandled() {
	r.kit.t.Helper()
	if !r.Handled() {
		r.kit.t.Fatalf("the event was not handled\n%s", r)
	}
}

// RequireDead fails the test unless the event is a dead letter whose text holds
// the text given.
func (r *Result) RequireDead(text string) {
	r.kit.t.Helper()
	if len(r.Failures) == 0 {
		r.kit.t.Fatalf("the event is no dead letter\n%s", r)
	}
	if !strings.Contains(r.Text, text) {
		r.kit.t.Fatalf("the dead letter does not say %q\n%s", text, r)
	}
}

// RequireAttempts fails the test unless n attempts were made, over all handlers of
// the event.
func (r *Result) RequireAttempts(n int) {
	r.kit.t.Helper()
	if len(r.Attempts) != n {
		r.kit.t.Fatalf("%d attempts were made and not %d\n%s", len(r.Attempts), n, r)
	}
}

// RequireRefused fails the test unless the receiver refused the request with a
// status.
func (r *Result) RequireRefused(status int) {
	r.kit.t.Helper()
	if r.ID != "" || r.Status != status {
		r.kit.t.Fatalf("the request was not refused with %d\n%s", status, r)
	}
}

// Delays gives the times between the attempts.
func (r *Result) Delays() []time.Duration {
	var delays []time.Duration
	for i := 1; i < len(r.Attempts); i++ {
		delays = append(delays, r.Attempts[i].At.Sub(r.Attempts[i-1].At))
	}
	return delays
}

// Repeat sends the same event once more, signed anew, as senders do that heard no
// answer. The receiver answers duplicate, or replays the event if it is a dead
// letter and was not replayed within the last five minutes.
func (r *Result) Repeat() *Result {
	r.kit.t.Helper()
	if r.letter == nil {
		r.kit.t.Fatalf("handlertest: only what was sent can be sent again")
	}
	return r.kit.post(r.letter)
}

// Replay resets the dead letter, as an operator does in the Web UI: what failed is
// tried again, and what succeeded is not.
func (r *Result) Replay() *Result {
	r.kit.t.Helper()
	if len(r.Failures) == 0 {
		r.kit.t.Fatalf("handlertest: only a dead letter can be replayed\n%s", r)
	}
	again := &Result{ID: r.ID, Replayed: true, kit: r.kit, letter: r.letter, before: r.kit.log.count()}
	if err := r.kit.engine.replay(r.ID); err != nil {
		r.kit.t.Fatalf("handlertest: replay event %s: %v", r.ID, err)
	}
	r.kit.settle(again)
	return again
}

// String tells the story of the event, for a failed test to print.
func (r *Result) String() string {
	var b strings.Builder
	if r.Status != 0 {
		fmt.Fprintf(&b, "answer: %d %s\n", r.Status, r.Answer)
	}
	for _, a := range r.Attempts {
		fmt.Fprintf(&b, "%s attempt %d at %s: ", a.Handler, a.Number, a.At.Format(time.DateTime))
		switch {
		case a.Error == "":
			b.WriteString("done\n")
		case a.Permanent:
			fmt.Fprintf(&b, "permanent: %s\n", a.Error)
		default:
			fmt.Fprintf(&b, "%s\n", a.Error)
		}
	}
	if len(r.Failures) > 0 {
		fmt.Fprintf(&b, "dead letter: %s\n", r.Text)
	}
	return b.String()
}
