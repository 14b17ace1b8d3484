package app

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/deadletter"
)

// renewRetry is how long it takes until the schedule is tried to be made again.
const renewRetry = 30 * time.Second

// renewPart makes the part that sees to it that dead letters are renewed before
// retention ends them. Who may not make schedules hears of it once.
func (p *process) renewPart() part {
	letters := deadletter.New(p.client, p.settings.Namespace, p.env.TaskQueue)
	return part{name: "renewal of dead letters", run: func(ctx context.Context) error {
		for said := false; ctx.Err() == nil; rest(ctx, renewRetry) {
			err := letters.KeepRenewing(ctx, p.config.DeadLetters.Keep)
			if err == nil {
				break
			}
			if !said && ctx.Err() == nil {
				p.log.Warn("dead letters are not renewed yet, so retention may end them; trying again", zap.Error(err))
				said = true
			}
		}
		<-ctx.Done()
		return nil
	}}
}
