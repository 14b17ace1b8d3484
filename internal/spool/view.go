package spool

import (
	"errors"
	"fmt"
	"os"
)

// View shows what a process that has ended left in a spool's directory: see may call List, Export and Stats, until it
// returns. Nothing on the disk is changed, and a read-only disk will do. The error wraps ErrInUse while a process has the
// directory open, and os.ErrNotExist where no spool is.
func View(o Options, see func(*Spool) error) error {
	o = withDefaults(o)
	o.view = true
	lock, err := lockToView(o.Path)
	if err != nil {
		return err
	}
	s := newSpool(o, lock)
	s.closed = true // It takes nothing and hands nothing over.
	err = s.load()
	if err != nil {
		err = fmt.Errorf("spool: cannot read %s: %w", o.Path, err)
	} else {
		err = see(s)
	}
	return errors.Join(err, s.closeFiles())
}

// lockToView keeps others from opening the directory while it is looked at.
func lockToView(dir string) (*os.File, error) {
	f, err := os.Open(lockPath(dir))
	if err != nil {
		return nil, fmt.Errorf("spool: no spool to look at: %w", err)
	}
	return flock(f, dir)
}
