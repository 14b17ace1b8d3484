package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// Sweep asks a sender again for what it could not deliver. A schedule starts it.
func Sweep(ctx workflow.Context, s event.Sweep) (event.Swept, error) {
	return sweep(ctx, s)
}
