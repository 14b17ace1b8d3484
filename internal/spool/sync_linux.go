package spool

import (
	"os"
	"syscall"
)

// syncData makes written data and the file's length durable. It leaves out the file's times, which
// halves the cost.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
