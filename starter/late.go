package starter

import (
	"context"
	"errors"
	"time"
)

// errSlow says that the engine has not answered within the ack budget.
var errSlow = errors.New("the engine has not answered in time")

// startTimeout is how long the start of an event goes on that nobody waits for
// any more. The engine may have taken the event and be about to say so, and its
// answer brings the first task: were the call given up at the end of the ack
// budget, that task would be lost, and the event handled only when the task times
// out, which takes the engine as long as this.
const startTimeout = 10 * time.Second

// attempt is how a start has ended.
type attempt struct {
	id      string
	outcome Outcome
	err     error
}

// begin starts an event and goes on with it when nobody waits any more.
func (s *Starter) begin(in Incoming, leave func(failure error)) <-chan attempt {
	done, ended := make(chan attempt, 1), make(chan struct{})
	s.underWay.Store(in.name(), ended)
	go func() {
		defer close(ended)
		defer s.underWay.CompareAndDelete(in.name(), ended)
		ctx, cancel := context.WithTimeout(s.alive, startTimeout)
		defer cancel()
		var a attempt
		a.id, a.outcome, a.err = s.engine.start(ctx, in)
		if errors.Is(a.err, ErrRefused) {
			leave(nil)
		} else {
			leave(a.err)
		}
		done <- a
	}()
	return done
}

// awaitStart waits until no request starts this event any more, so that what was
// put on disk meanwhile is not started a second time.
func (s *Starter) awaitStart(ctx context.Context, in Incoming) {
	ended, ok := s.underWay.Load(in.name())
	if !ok {
		return
	}
	select {
	case <-ended.(chan struct{}): //nolint:forcetypeassert // The map holds nothing else.
	case <-ctx.Done():
	}
}

// name tells an event from all others, those that share its ID included.
func (in *Incoming) name() string { return in.Event.ID + in.Digest }
