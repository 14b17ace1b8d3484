package chaos_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPowerIsCut loses no event over a power cut: of all files of `up` and of its engine
// only what was synced is still there afterwards, and of the rest what chance leaves. The
// system runs once, under strace, which writes down each write and sync; for each cut the
// directory is made again as a disk would have it, and a new `up` goes on from it.
func TestPowerIsCut(t *testing.T) {
	s := newSystem(t)
	strace := traces(t)
	data, log := filepath.Join(s.dir, "data"), filepath.Join(s.dir, "trace")
	up := s.add(t, "up", "up", "GRAPNEL_DATA_DIR="+data)
	up.args = append([]string{
		"-f", "-y", "-ttt", "-T", "-xx", "-s", "4194304", "-o", log, "-e", "trace=" + strings.Join(traced, ","), up.path,
	}, up.args...)
	up.path = strace
	up.start(t)
	answers(t, "http://"+s.receive+"/")
	l := s.begin(t, 4, 100*time.Millisecond)
	require.Eventually(t, func() bool { return l.acks.Load() > 60 }, 5*time.Minute, 50*time.Millisecond)
	up.mu.Lock()
	up.held = true
	up.mu.Unlock()
	for _, pid := range up.children("grapnel") {
		_ = syscall.Kill(pid, syscall.SIGKILL) // The engine ends with it, and strace when all have.
	}
	<-up.down
	l.stopped.Store(true)
	l.wg.Wait()

	d := readTrace(t, log, data)
	require.Empty(t, differences(onDisk(t, data), d.at(time.Now(), nil)), "what was traced is what the disk holds")
	first := s.record.read(t)
	cuts := 3
	if os.Getenv("CHAOS_DURATION") != "" {
		cuts = 20
	}
	for range cuts {
		// Right after an acknowledgement, the worst moment for its event, and late in the
		// load, when more is there to be lost.
		acks := first[acked]
		at := acks[len(acks)/2+s.dice.IntN(len(acks)/2)].At.Add(time.Microsecond)
		restored := filepath.Join(t.TempDir(), "data")
		lay(t, restored, d.at(at, rand.New(rand.NewPCG(s.dice.Uint64(), 2))))
		again := time.Now()
		second := s.add(t, "up again", "up", "GRAPNEL_DATA_DIR="+restored)
		require.NoError(t, second.launch())
		was := func() *verdict { return judge(history(first, s.record.read(t), at, again)) }
		deadline := time.Now().Add(3 * time.Minute)
		for len(was().Lost) > 0 && time.Now().Before(deadline) {
			time.Sleep(200 * time.Millisecond) // Nothing tells when the record is complete.
		}
		v := was()
		second.hold()
		t.Logf("cut after %d were acknowledged; %d handled in all, %d of them again", v.Acked, v.Handled, v.Reruns)
		require.Positive(t, v.Acked)
		require.Empty(t, v.Lost, "acknowledged before the cut and not handled")
		require.Empty(t, v.Unknown, "handled, and nobody sent it or may send it")
		require.Empty(t, v.Changed, "handled with another body")
		require.Empty(t, v.Repeated, "handled again, and no cut explains it")
	}
}

// history is the record as it would be had the power been cut: what came before, and what
// came after everything was started again.
func history(first, all map[string][]entry, cut, again time.Time) map[string][]entry {
	h := map[string][]entry{meant: first[meant], ended: {{What: ended, At: cut, Key: "power"}}}
	for _, what := range []string{acked, handled} {
		for _, e := range all[what] {
			if e.At.Before(cut) || e.At.After(again) {
				h[what] = append(h[what], e)
			}
		}
	}
	return h
}

// traces gives the path of strace, and skips the test where it can't trace.
func traces(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: strace is not installed (Debian's package strace), so no power was cut")
	}
	if out, err := exec.Command(path, "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: strace may not trace here, so no power was cut: %s", out)
	}
	return path
}
