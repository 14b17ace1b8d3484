//go:build unix

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockDirectory takes the directory for this process alone. The kernel gives the lock free when the process ends,
// however it ends.
func lockDirectory(dir string) (*os.File, error) {
	path := lockPath(dir)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: cannot write %s (%w): make the directory writable or choose another data directory", path, err)
	}
	return flock(f, dir)
}

func lockPath(dir string) string { return filepath.Join(dir, "lock") }

// flock takes the lock by its open file, which it closes where that fails.
func flock(f *os.File, dir string) (*os.File, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s: stop that process or give this one a data directory of its own", ErrInUse, dir)
	}
	return nil, fmt.Errorf("spool: cannot lock %s (%w): put the data directory on a file system that has locks", f.Name(), err)
}
