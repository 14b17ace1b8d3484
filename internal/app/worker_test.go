package app_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/app"
)

// fakeWorker starts with the given error and notes its stop.
type fakeWorker struct {
	fault   error
	onFatal func(error)
	started chan struct{}
	stopped bool
}

func (w *fakeWorker) Start() error {
	if w.fault == nil {
		close(w.started)
	}
	return w.fault
}

func (w *fakeWorker) Stop() { w.stopped = true }

func TestAWorkerThatCanNotGoOnIsStoppedAndItsErrorGiven(t *testing.T) {
	lost := errors.New("its namespace is gone")
	for name, test := range map[string]struct {
		fault error
		then  func(*fakeWorker, context.CancelFunc)
		err   error
	}{
		"it can't start": {fault: lost, err: lost},
		"it gives up, and says so twice": {then: func(w *fakeWorker, _ context.CancelFunc) {
			w.onFatal(lost)
			w.onFatal(errors.New("again"))
		}, err: lost},
		"it is told to stop": {then: func(_ *fakeWorker, stop context.CancelFunc) { stop() }},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			w := &fakeWorker{fault: test.fault, started: make(chan struct{})}
			if test.then != nil {
				go func() {
					<-w.started
					test.then(w, stop)
				}()
			}
			err := app.Work(ctx, func(onFatal func(error)) app.Laborer {
				w.onFatal = onFatal
				return w
			})
			require.Equal(t, test.err, err)
			require.Equal(t, test.fault == nil, w.stopped)
			stop()
		})
	}
}
