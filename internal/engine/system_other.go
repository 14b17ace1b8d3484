//go:build !linux

package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// engineHolders gives the processes that are an engine on the recorded port.
// The lock is held and its grapnel is gone, and no two engines have one port,
// so this is the holder.
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

// processAttributes puts the child into a process group of its own, so that
// Ctrl-C reaches grapnel alone and all is stopped in order. Nothing here ends
// the child with its parent; the next start takes it over.
func processAttributes(bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// startBelow starts a process by so many steps of niceness below this one. Where
// that is not allowed it runs beside us, which costs speed and nothing else.
func startBelow(cmd *exec.Cmd, nice int) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	if now, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0); err == nil && nice > 0 {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, min(now+nice, 19))
	}
	return nil
}
