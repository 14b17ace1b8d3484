//go:build !linux

package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// engineHolders returns the IDs of processes that are an engine on the recorded port. The lock is
// held, its grapnel is gone, and no two engines have the same port, so such a process is the
// holder.
func engineHolders(ctx context.Context, _ *os.File, r lockRecord) ([]int, error) {
	if r.Port == 0 {
		return nil, nil
	}
	list, err := exec.CommandContext(ctx, "ps", "-axo", "pid=,command=").Output()
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	return enginesIn(string(list), r.Port), nil
}

// processAttributes puts the child into a process group of its own, so that Ctrl-C reaches grapnel
// alone, which stops its parts in order. This system can't end the child with its parent; the next
// start stops it.
func processAttributes(bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// startBelow starts a process with its niceness raised by nice. If the system does not allow it,
// the process runs at our priority, which only costs speed.
func startBelow(cmd *exec.Cmd, nice int) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	if now, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0); err == nil && nice > 0 {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, min(now+nice, 19))
	}
	return nil
}
