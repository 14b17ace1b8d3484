package workflows

import (
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// Discarded is an event that an operator gave up on. It completes at once: its ID
// stays taken, so that a sender's repeat is a duplicate, and no batch over dead
// letters finds it. Its input keeps the letter and who discarded it, and why.
func Discarded( //nolint:revive // argument-limit: they are those of a dead letter, and why.
	_ workflow.Context, _ event.Event, _ converter.RawValue, _ event.Letter, _ converter.RawValue, why event.Discard,
) (event.Discard, error) {
	return why, nil
}
