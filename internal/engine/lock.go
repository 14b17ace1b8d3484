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

// Two locks guard a data directory. grapnel holds the owner's lock. The engine's lock is held by
// grapnel and, through an inherited file descriptor, by the engine, so it stays held as long as
// either runs. If the owner's lock is held, another grapnel runs. If only the engine's is held, a
// grapnel has died and left its engine over. The kernel releases both however a process ends, so no
// recorded process ID has to be trusted.
const (
	engineLockName = "engine.lock"
	ownerLockName  = "engine.owner"
)

// BusyError says that another running grapnel uses the data directory.
type BusyError struct {
	// PID is the other grapnel's process ID; 0 if it is not known.
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

// lockRecord is the content of the lock files, for people and for the next start.
type lockRecord struct {
	Grapnel int    `json:"grapnel"`
	Engine  int    `json:"engine,omitempty"`
	Port    int    `json:"port,omitempty"`
	Address string `json:"address,omitempty"`
	UI      string `json:"ui,omitempty"`
}

// locks are the two locks of one data directory. Their files are never removed, because a lock on a
// removed file guards nothing.
type locks struct {
	dir           string
	owner, engine *os.File
	// usualPorts is held by the one grapnel of this machine whose engine has the usual ports.
	usualPorts *os.File
}

// takeUsualPorts takes the lock of the usual ports, or returns false: other ports are to be used
// then. Without the lock, two grapnels that start at the same moment would both find the ports
// free, and one of them would talk to the other's engine.
func (l *locks) takeUsualPorts() bool {
	f, err := openLock(filepath.Join(os.TempDir(), "grapnel-port-"+strconv.Itoa(usualPort)+".lock"))
	if err != nil {
		return false
	}
	if free, err := tryLock(f); err != nil || !free {
		_ = f.Close()
		return false
	}
	l.usualPorts = f
	return true
}

// lockOwner takes the owner's lock and opens the engine's. If another grapnel holds it, the error
// is a *BusyError.
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

// release releases the locks. The engine's lock stays held while an engine runs.
func (l *locks) release() {
	_ = l.engine.Close()
	_ = l.owner.Close()
	if l.usualPorts != nil {
		_ = l.usualPorts.Close()
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

// readRecord reads a lock file. If it can't be read, the record is empty, because the lock decides
// and not the record.
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

// Bounds of takeEngine: how long the holder of the lock may be invisible (a process that is about
// to end has closed its files already), and how often to look.
const (
	unseenGrace  = 3 * time.Second
	lookInterval = 50 * time.Millisecond
)

// takeEngine takes the engine's lock. If it is held although the owner's lock is ours, its holder
// is an engine whose grapnel was killed. That engine is stopped, not used: it may run with other
// settings, and it would outlive this grapnel.
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

// leftOvers are the left-over engines that were asked to stop, and when.
type leftOvers struct {
	asked  map[int]time.Time
	grace  time.Duration
	logger *slog.Logger
}

// stop asks an engine to stop at the first call, and kills it once the grace period is over.
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

// isEngine tells whether a command line is that of an engine on the port, or on any port if it is
// 0.
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

// enginesIn reads the output of `ps -axo pid=,command=` and returns the IDs of processes that are
// an engine on the port.
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
