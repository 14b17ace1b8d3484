package handlertest

import (
	"time"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/starter"
)

// engine is the Temporal of a kit: the SDK's test environment, or a server.
type engine interface {
	starter.Temporal
	// begin starts the workflow of an event that did not come through the receiver.
	begin(e event.Event, body []byte) error
	// settle waits until an event is handled or a dead letter.
	settle(id string) (workflowEnd, error)
	// replay resets the dead letter of an event.
	replay(id string) error
	now() time.Time
	// advance moves the clock. It gives false if the clock can't be moved.
	advance(d time.Duration) bool
}

// workflowEnd is how a workflow ended.
type workflowEnd struct {
	failures []Failure
	text     string
}

// endOfDead gives the end of a dead letter.
func endOfDead(l event.Letter, text string) workflowEnd {
	e := workflowEnd{text: text}
	for _, f := range l.Failures {
		e.failures = append(e.failures, Failure{
			Handler: f.Route, Type: f.Type, Message: f.Message, Stack: f.Stack, Attempts: f.Attempts,
		})
	}
	return e
}
