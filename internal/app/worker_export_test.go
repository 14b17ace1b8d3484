package app

import (
	"context"

	"go.uber.org/zap"
)

// Laborer is the part of a worker that Work uses.
type Laborer = startStopper

// Work runs a worker until ctx is done, or until it fails.
func Work(ctx context.Context, made func(onFatal func(error)) Laborer) error {
	return runWorker(ctx, made, zap.NewNop())
}
