package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/event"
)

// maxPauseHistory is the length of history at which Pauses continues as new.
const maxPauseHistory = 500

// Pauses holds what is paused, for all processes and over their restarts. The processes read it
// from its memo; signals change it. It never ends.
func Pauses(ctx workflow.Context, state event.PauseState) error {
	if state == nil {
		state = event.PauseState{}
	}
	changes := workflow.GetSignalChannel(ctx, event.SignalPause)
	show := func() {
		if err := workflow.UpsertMemo(ctx, map[string]any{event.MemoPauses: state}); err != nil {
			workflow.GetLogger(ctx).Error("could not show what is paused", "error", err)
		}
	}
	show()
	for workflow.GetInfo(ctx).GetCurrentHistoryLength() < maxPauseHistory {
		var c event.PauseChange
		changes.Receive(ctx, &c)
		state.Apply(c)
		drainPauses(changes, state)
		show()
	}
	drainPauses(changes, state)
	return workflow.NewContinueAsNewError(ctx, event.Pauses, state)
}

func drainPauses(changes workflow.ReceiveChannel, state event.PauseState) {
	for {
		var c event.PauseChange
		if !changes.ReceiveAsync(&c) {
			return
		}
		state.Apply(c)
	}
}
