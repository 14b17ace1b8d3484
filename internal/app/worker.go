package app

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/worker"
)

// workerRetry is the delay before a worker that failed is started again.
const workerRetry = 2 * time.Second

// workerPart makes the part that handles events. The SDK's worker can't start while Temporal is
// away, and it ends if its namespace is missing for two minutes. Neither must end the receiver in
// the same process, so the worker is started again until it works.
func (p *process) workerPart(a *activities.Activities) part {
	makeWorker := func(onFatal func(error)) startStopper {
		return worker.New(p.client, worker.Options{
			TaskQueue: p.env.TaskQueue, Activities: a, Observer: p.observer, OnFatal: onFatal,
		})
	}
	log := p.log.With(zap.String("task queue", p.env.TaskQueue), zap.String("temporal", p.settings.Address))
	return part{name: "worker", run: func(ctx context.Context) error {
		for ctx.Err() == nil {
			if err := runWorker(ctx, makeWorker, log); err != nil {
				log.Warn("the worker can't work; trying again", zap.Error(err))
				sleep(ctx, workerRetry)
			}
		}
		return nil
	}}
}

// startStopper is the part of a worker that runWorker uses.
type startStopper interface {
	Start() error
	Stop()
}

// runWorker runs a worker until ctx is done, or until it fails.
func runWorker(ctx context.Context, makeWorker func(onFatal func(error)) startStopper, log *zap.Logger) error {
	fatal := make(chan error, 1)
	w := makeWorker(func(err error) {
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

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// renewRetry is the delay before another try to make the schedule.
const renewRetry = 30 * time.Second

// renewPart makes the part that keeps the schedule that renews dead letters before retention ends
// them. It tries until that succeeds, and logs only the first error.
func (p *process) renewPart() part {
	letters := deadletter.New(p.client, p.settings.Namespace, p.env.TaskQueue)
	return part{name: "renewal of dead letters", run: func(ctx context.Context) error {
		for logged := false; ctx.Err() == nil; sleep(ctx, renewRetry) {
			err := letters.KeepRenewing(ctx, p.config.DeadLetters.Keep)
			if err == nil {
				break
			}
			if !logged && ctx.Err() == nil {
				p.log.Warn("dead letters are not renewed yet, so retention may end them; trying again", zap.Error(err))
				logged = true
			}
		}
		<-ctx.Done()
		return nil
	}}
}
