//go:build unix

package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Bounds of a take-over: how long the holder of the lock may stay unseen (a
// process on its way out has already closed its files), and how often to look.
const (
	unseenGrace  = 3 * time.Second
	lookInterval = 50 * time.Millisecond
)

// takeEngine takes the engine's lock. Who holds it while the owner's lock is
// ours is an engine whose grapnel was killed; it is stopped, never joined: it
// may run with other settings, and nobody would end it.
func (l *locks) takeEngine(ctx context.Context, o EmbeddedOptions) error {
	began, left := time.Now(), &leftOvers{asked: map[int]time.Time{}, grace: o.grace, logger: o.Logger}
	for {
		free, err := tryLock(l.engine)
		if err != nil || free {
			return err
		}
		pids, err := engineHolders(ctx, l.engine, readRecord(l.engine))
		if err != nil {
			return fmt.Errorf("look for the engine left over on %s: %w", l.dir, err)
		}
		if len(pids) == 0 && len(left.asked) == 0 && time.Since(began) > unseenGrace {
			return fmt.Errorf("data directory %s is locked by an engine that cannot be seen from here (recorded as pid %d): stop it, or give this grapnel another directory by GRAPNEL_DATA_DIR", l.dir, readRecord(l.engine).Engine)
		}
		for _, pid := range pids {
			if err := left.stop(pid); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("take over data directory %s: %w", l.dir, ctx.Err())
		case <-time.After(lookInterval):
		}
	}
}

// leftOvers are the engines that a take-over has asked to stop, and when.
type leftOvers struct {
	asked  map[int]time.Time
	grace  time.Duration
	logger *slog.Logger
}

// stop asks an engine to stop the first time it is seen and ends it when it
// has had its time.
func (l *leftOvers) stop(pid int) error {
	asked, again := l.asked[pid]
	signal := syscall.SIGTERM
	switch {
	case !again:
		l.logger.Warn("stopping an engine that was left over", "pid", pid)
	case time.Since(asked) > l.grace:
		signal = syscall.SIGKILL
		l.logger.Warn("ending an engine that was left over and does not stop", "pid", pid)
	default:
		return nil
	}
	l.asked[pid] = time.Now()
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the engine left over (pid %d): %w; stop it by hand", pid, err)
	}
	return nil
}

// isEngine tells whether a command line is that of an engine on the port; on
// any port where it is 0.
func isEngine(args []string, port int) bool {
	dev, database, listens := false, false, port == 0
	for i, arg := range args {
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		dev = dev || arg == "server" && next == "start-dev"
		database = database || arg == "--db-filename" && next == databaseName
		listens = listens || arg == "--port" && next == strconv.Itoa(port)
	}
	return dev && database && listens
}

// enginesIn reads lines of `ps -axo pid=,command=` and gives the processes
// that are an engine on the port.
func enginesIn(list string, port int) []int {
	var pids []int
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if pid, err := strconv.Atoi(fields[0]); err == nil && isEngine(fields[1:], port) {
			pids = append(pids, pid)
		}
	}
	return pids
}
