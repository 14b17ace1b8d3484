package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Two locks guard a data directory. The engine's is shared with the engine by
// an inherited file descriptor, so it is held as long as either process lives.
// The owner's is grapnel's alone. Owner held: another grapnel runs. Only the
// engine's held: its grapnel has died and left it over. Both are released by
// the kernel whatever way a process ends, and no process ID has to be believed.
const (
	engineLockName = "engine.lock"
	ownerLockName  = "engine.owner"
)

// BusyError tells that a data directory is in use by a grapnel that lives.
type BusyError struct {
	// PID is the other grapnel's process; 0 where it is not known.
	PID int
	// Dir is the data directory.
	Dir string
}

// Error names the process and says what to do.
func (e *BusyError) Error() string {
	who := "another grapnel"
	if e.PID != 0 {
		who = fmt.Sprintf("another grapnel (pid %d)", e.PID)
	}
	return fmt.Sprintf("%s runs on data directory %s: stop it, or give this one another directory by GRAPNEL_DATA_DIR", who, e.Dir)
}

// lockRecord is what the lock files say, for people and for a take-over.
type lockRecord struct {
	Grapnel int    `json:"grapnel"`
	Engine  int    `json:"engine,omitempty"`
	Port    int    `json:"port,omitempty"`
	Address string `json:"address,omitempty"`
	UI      string `json:"ui,omitempty"`
}

// locks are the two locks of one data directory. The files are never removed:
// a lock on a file that is no longer in the directory guards nothing.
type locks struct {
	dir           string
	owner, engine *os.File
	// usual is held by the one grapnel of this machine whose engine has the
	// usual ports.
	usual *os.File
}

// takeUsual takes the lock of the usual ports. Without it, two that start at the
// same moment both find them free, and one of them talks to the other's engine.
// A lock that can't be had, for whatever reason, leaves the ports to others.
func (l *locks) takeUsual() bool {
	f, err := openLock(filepath.Join(os.TempDir(), "grapnel-port-"+strconv.Itoa(usualPort)+".lock"))
	if err != nil {
		return false
	}
	if free, err := tryLock(f); err != nil || !free {
		_ = f.Close()
		return false
	}
	l.usual = f
	return true
}

// lockOwner takes the owner's lock or tells who has it.
func lockOwner(dir string) (*locks, error) {
	owner, err := openLock(filepath.Join(dir, ownerLockName))
	if err != nil {
		return nil, err
	}
	free, err := tryLock(owner)
	if err != nil || !free {
		other := readRecord(owner)
		_ = owner.Close()
		if err != nil {
			return nil, err
		}
		return nil, &BusyError{PID: other.Grapnel, Dir: dir}
	}
	if err := writeRecord(owner, lockRecord{Grapnel: os.Getpid()}); err != nil {
		return nil, errors.Join(err, owner.Close())
	}
	engine, err := openLock(filepath.Join(dir, engineLockName))
	if err != nil {
		return nil, errors.Join(err, owner.Close())
	}
	return &locks{dir: dir, owner: owner, engine: engine}, nil
}

// release gives both locks back. The engine's stays held while an engine lives.
func (l *locks) release() {
	_ = l.engine.Close()
	_ = l.owner.Close()
	if l.usual != nil {
		_ = l.usual.Close()
	}
}

func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data directory: %w", err)
	}
	return f, nil
}

func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case errors.Is(err, syscall.EINTR):
		default:
			return false, fmt.Errorf("lock %s: %w; the data directory must be on a file system with locks", f.Name(), err)
		}
	}
}

// readRecord gives what the file says; nothing where it cannot be read, since
// the locks and not the record decide.
func readRecord(f *os.File) lockRecord {
	var r lockRecord
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	if err != nil || json.Unmarshal(text, &r) != nil {
		return lockRecord{}
	}
	return r
}

func writeRecord(f *os.File, r lockRecord) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(text, '\n'), 0)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return nil
}

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
