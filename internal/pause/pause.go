// Package pause knows which sources and destinations somebody has paused, for all
// processes and over their restarts. The state is in Temporal: a workflow keeps it,
// a signal changes it, and every process reads its memo every few seconds.
package pause

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/event"
)

// Options is what a Board works with.
type Options struct {
	// Temporal is the client, and TaskQueue that of the workers, one of which runs
	// the workflow.
	Temporal  client.Client
	TaskQueue string
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Board shows what is paused. It is safe for concurrent use.
type Board struct {
	o Options

	mu     sync.Mutex
	state  event.PauseState
	loaded chan struct{} // closed once the state is known
	known  bool
	// next is when the next event that waits for a key may ask again.
	next map[string]time.Time
}

// New makes a board that shows nothing until it is refreshed.
func New(o Options) *Board {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Board{o: o, state: event.PauseState{}, loaded: make(chan struct{}), next: map[string]time.Time{}}
}

const (
	// lookEvery is how often the state is read.
	lookEvery = 2 * time.Second
	// lookWithin is how long a read may take.
	lookWithin = 5 * time.Second
	// firstWithin is how long an event waits for the first read.
	firstWithin = 2 * time.Second
)

// Watch keeps the board up to date until ctx is done. While Temporal does not
// answer, what was known last holds.
func (b *Board) Watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		_ = b.Refresh(ctx) // Whoever needs Temporal says that it is away.
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Refresh reads the state once.
func (b *Board) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	state, err := b.read(ctx)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = state
	maps.DeleteFunc(b.next, func(key string, _ time.Time) bool {
		_, paused := state[key]
		return !paused
	})
	if !b.known {
		b.known = true
		close(b.loaded)
	}
	return nil
}

func (b *Board) read(ctx context.Context) (event.PauseState, error) {
	state := event.PauseState{}
	d, err := b.o.Temporal.DescribeWorkflowExecution(ctx, event.PausesID, "")
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return state, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what is paused: %w", err)
	}
	memo := d.GetWorkflowExecutionInfo().GetMemo().GetFields()[event.MemoPauses]
	if memo == nil {
		return state, nil
	}
	// The codec reads what is compressed, whatever it compresses itself.
	readable := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), engine.NewCodec(0))
	if err := readable.FromPayload(memo, &state); err != nil {
		return nil, fmt.Errorf("read what is paused: %w", err)
	}
	return state, nil
}

// State is what is paused, as it was last read.
func (b *Board) State() event.PauseState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.state)
}

// Get tells whether a source or a destination is paused.
func (b *Board) Get(kind, name string) (event.Pause, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.state[event.PauseKey(kind, name)]
	return p, ok
}

// The times that waiting events are given: a tenth of the time that the pause has
// lasted, so that a short pause ends at once and a long one costs little, and
// one event after the other.
const (
	minWait = 5 * time.Second
	maxWait = 2 * time.Minute
	waitGap = 50 * time.Millisecond
)

// Until is when an event that meets a pause may ask again. Right after the start
// of the process it waits until the board is known.
func (b *Board) Until(kind, name string) (until time.Time, p event.Pause, paused bool) {
	select {
	case <-b.loaded:
	default:
		first := time.NewTimer(firstWithin)
		defer first.Stop()
		select {
		case <-b.loaded:
		case <-first.C:
		}
	}
	key, now := event.PauseKey(kind, name), b.o.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, paused = b.state[key]; !paused {
		return until, p, false
	}
	until = now.Add(min(max(now.Sub(p.Since)/10, minWait), maxWait))
	if next := b.next[key]; next.After(until) {
		until = next
	}
	b.next[key] = until.Add(waitGap)
	return until, p, true
}

// Reason is why an event waits, in words.
func Reason(kind, name string, p event.Pause) string {
	s := kind + " " + name + " is paused"
	if p.Actor != "" {
		s += " by " + p.Actor
	}
	if p.Reason != "" {
		s += ": " + p.Reason
	}
	return s
}

// ErrUnconfirmed is a change that Temporal has taken and no worker has put into
// force yet.
var ErrUnconfirmed = errors.New("Temporal has taken it; it counts as soon as a worker runs")

const (
	// confirmWithin is how long a change is waited for.
	confirmWithin = 10 * time.Second
	// spread is how long a pause takes until every process has read of it.
	spread = lookEvery + 500*time.Millisecond
)

// Set pauses a source or a destination, or ends its pause, and waits until that is
// in force: whoever is told that something is paused relies on it that nothing goes
// there any more. The error is ErrUnconfirmed where no worker runs.
func (b *Board) Set(ctx context.Context, kind, name string, c event.PauseChange) error {
	c.Key = event.PauseKey(kind, name)
	c.Pause.Since = b.o.Now().UTC()
	_, err := b.o.Temporal.SignalWithStartWorkflow(ctx, event.PausesID, event.SignalPause, c,
		client.StartWorkflowOptions{ID: event.PausesID, TaskQueue: b.o.TaskQueue, StaticSummary: "what is paused in grapnel"},
		event.Pauses, event.PauseState{})
	if err != nil {
		return fmt.Errorf("change what is paused: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, confirmWithin)
	defer cancel()
	for {
		if err := b.Refresh(ctx); err == nil {
			if p, paused := b.Get(kind, name); paused == c.Paused && (!paused || p.Reason == c.Pause.Reason && p.Actor == c.Pause.Actor) {
				if c.Paused {
					waitFor(ctx, spread)
				}
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ErrUnconfirmed
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// waitFor waits for d, or until ctx is done.
func waitFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
