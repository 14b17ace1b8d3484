package engine

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// engineHolders returns the IDs of processes that are an engine and have the lock file open.
// Processes of other users can't be inspected, and are none of ours.
func engineHolders(ctx context.Context, lock *os.File, _ lockRecord) ([]int, error) {
	want, err := lock.Stat()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || !isEngine(processArguments(pid), 0) {
			continue
		}
		if hasOpen(pid, want) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func processArguments(pid int) []string {
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return nil
	}
	return strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
}

func hasOpen(pid int, want os.FileInfo) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	files, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, file := range files {
		if got, err := os.Stat(filepath.Join(dir, file.Name())); err == nil && os.SameFile(got, want) {
			return true
		}
	}
	return false
}

// processAttributes puts the child into a process group of its own, so that Ctrl-C reaches grapnel
// alone, which stops its parts in order. If tied, the kernel kills the child when the thread that
// started it ends.
func processAttributes(tied bool) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if tied {
		attributes.Pdeathsig = syscall.SIGKILL
	}
	return attributes
}

// startBelow starts a process with its niceness raised by nice. On Linux niceness belongs to a
// thread and is inherited. So the caller's thread, which the caller has locked and will not reuse,
// is lowered before it forks, and all threads of the child start with its niceness. If the system
// does not allow it, the child runs at our priority, which only costs speed.
func startBelow(cmd *exec.Cmd, nice int) error {
	if raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0); err == nil && nice > 0 {
		now := 20 - raw // The kernel returns 20 - nice, so that it is never negative.
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, min(now+nice, 19))
	}
	return cmd.Start()
}
