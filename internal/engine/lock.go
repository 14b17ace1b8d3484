//go:build unix

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
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

// record is what the lock files say, for people and for a take-over.
type record struct {
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
	if err := writeRecord(owner, record{Grapnel: os.Getpid()}); err != nil {
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
func readRecord(f *os.File) record {
	var r record
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	if err != nil || json.Unmarshal(text, &r) != nil {
		return record{}
	}
	return r
}

func writeRecord(f *os.File, r record) error {
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
