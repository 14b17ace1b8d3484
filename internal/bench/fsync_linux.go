package bench

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// syncCounter counts how often a process has synced a file since the counter was made, by
// the kernel's tracepoints. A nil one can't count.
type syncCounter struct{ counters []int }

// countSyncs gives a counter for a process, or nil where the kernel lets us have none: they
// are root's, and everyone's where kernel.perf_event_paranoid is -1.
func countSyncs(pid int) *syncCounter {
	if pid == 0 {
		return nil
	}
	s := &syncCounter{}
	counted := map[string]bool{}
	// A counter belongs to a thread and to those that it starts later. One that was started
	// by a thread without a counter, between the list and its turn, is in the next list.
	for grown := true; grown; {
		grown = false
		threads, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
		if err != nil {
			s.close()
			return nil
		}
		for _, thread := range threads {
			if counted[thread.Name()] {
				continue
			}
			counted[thread.Name()], grown = true, true
			if !s.add(thread.Name()) {
				s.close()
				return nil
			}
		}
	}
	return s
}

// add counts what a thread syncs, and tells whether that is allowed. A thread that has
// ended meanwhile syncs nothing.
func (s *syncCounter) add(thread string) bool {
	tid, err := strconv.Atoi(thread)
	if err != nil {
		return false
	}
	for _, call := range []string{"sys_enter_fsync", "sys_enter_fdatasync"} {
		text, err := os.ReadFile(filepath.Join("/sys/kernel/tracing/events/syscalls", call, "id"))
		if err != nil {
			return false
		}
		id, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return false
		}
		counter, err := unix.PerfEventOpen(&unix.PerfEventAttr{
			Type: unix.PERF_TYPE_TRACEPOINT, Size: unix.PERF_ATTR_SIZE_VER0, Config: id, Bits: unix.PerfBitInherit,
		}, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err == unix.ESRCH { //nolint:errorlint // x/sys gives the bare number.
			return true
		}
		if err != nil {
			return false
		}
		s.counters = append(s.counters, counter)
	}
	return true
}

// count is how often the process has synced so far; negative where that can't be told.
func (s *syncCounter) count() int64 {
	if s == nil {
		return -1
	}
	var sum int64
	for _, counter := range s.counters {
		var value [8]byte
		if n, err := unix.Read(counter, value[:]); err != nil || n != len(value) {
			return -1
		}
		sum += int64(binary.NativeEndian.Uint64(value[:])) //nolint:gosec // A count.
	}
	return sum
}

func (s *syncCounter) close() {
	if s == nil {
		return
	}
	for _, counter := range s.counters {
		_ = unix.Close(counter)
	}
}
