package app

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/worker"
)

// workerRetry is the delay before a worker that could not work is started again.
const workerRetry = 2 * time.Second

// workerPart makes the part that handles events. A worker can't start while
// Temporal is away, and gives up when its namespace is not found for two minutes.
// Neither is a reason for a receiver beside it to end, so it is tried again until
// it works.
func (p *process) workerPart(a *activities.Activities) part {
	made := func(onFatal func(error)) startStopper {
		return worker.New(p.client, worker.Options{
			TaskQueue: p.env.TaskQueue, Activities: a, Observer: p.observer, OnFatal: onFatal,
		})
	}
	log := p.log.With(zap.String("task queue", p.env.TaskQueue), zap.String("temporal", p.settings.Address))
	return part{name: "worker", run: func(ctx context.Context) error {
		for ctx.Err() == nil {
			if err := runWorker(ctx, made, log); err != nil {
				log.Warn("the worker can't work; trying again", zap.Error(err))
				rest(ctx, workerRetry)
			}
		}
		return nil
	}}
}

// startStopper is what is used here of a worker.
type startStopper interface {
	Start() error
	Stop()
}

// runWorker runs a worker until ctx is done, or until it can't start or go on.
func runWorker(ctx context.Context, made func(onFatal func(error)) startStopper, log *zap.Logger) error {
	fatal := make(chan error, 1)
	w := made(func(err error) {
		select {
		case fatal <- err:
		default:
		}
	})
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	log.Info("the worker takes events")
	select {
	case <-ctx.Done():
		return nil
	case err := <-fatal:
		return err
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

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
