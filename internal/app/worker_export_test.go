package app

import (
	"context"

	"go.uber.org/zap"
)

// Laborer is what work uses of a worker.
type Laborer = startStopper

// Work runs a worker until ctx is done, or until it can't start or go on.
func Work(ctx context.Context, made func(onFatal func(error)) Laborer) error {
	return runWorker(ctx, made, zap.NewNop())
}
