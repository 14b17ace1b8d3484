//go:build unix

package bench

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// hang stops the engine as a frozen machine would, sends events meanwhile, and
// lets it go on. An engine that is not our own is left in peace.
func (b *bench) hang(ctx context.Context) error {
	if b.EnginePID == 0 {
		return nil
	}
	const every = 2 * time.Millisecond
	events := newBatch(max(b.Events, 500), b.Secret)
	run, err := b.Plant.Start(ctx, Setup{Queue: b.queue("hang"), Spool: true, Handle: events.handle})
	if err != nil {
		return err
	}
	defer run.Stop()
	if err := syscall.Kill(b.EnginePID, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop the engine: %w", err)
	}
	s, err := send(ctx, run.Addr, events, burstConnections, every)
	if cont := syscall.Kill(b.EnginePID, syscall.SIGCONT); cont != nil {
		return fmt.Errorf("let the engine go on: %w", cont)
	}
	if err != nil {
		return err
	}
	began := time.Now()
	if err := events.await(ctx); err != nil {
		return err
	}
	b.report.Hang = &Hang{Answers: newTimes(s.answers), Refused: s.refused, Recovered: time.Since(began)}
	return nil
}
