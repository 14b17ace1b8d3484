package chaos_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKillAnythingOfUp(t *testing.T) {
	s := newSystem(t)
	up := s.add(t, "up", "up", "GRAPNEL_DATA_DIR="+filepath.Join(s.dir, "data"))
	up.start(t)
	answers(t, "http://"+s.receive+"/")
	l := s.begin(t, 8, 40*time.Millisecond)
	s.strike(t, durationOf(t), 3*time.Second, killer("up", up), blow{"engine of up", func() {
		for _, pid := range up.children("start-dev") {
			_ = syscall.Kill(pid, syscall.SIGKILL) // It may just have ended.
			s.record.ended("engine of up", time.Now())
		}
	}})
	answers(t, "http://"+s.receive+"/")
	l.stop()
	s.settled(t)
}

func TestKillAnythingOfACluster(t *testing.T) {
	s := newSystem(t)
	engine, address := s.addEngine(t)
	engine.start(t)
	awaitEngine(t, address)
	starter, worker := s.addHalves(t, address)
	starter.start(t)
	worker.start(t)
	answers(t, "http://"+s.receive+"/")
	l := s.begin(t, 8, 40*time.Millisecond)
	s.strike(t, durationOf(t), 2*time.Second,
		killer("starter", starter), killer("worker", worker), killer("engine", engine),
		killer("all", starter, worker, engine))
	answers(t, "http://"+s.receive+"/")
	l.stop()
	s.settled(t)
}

// TestKillBetweenSyncAndAnswer kills the receiver when its spool has just grown:
// after the write, before or after the sync, mostly before the answer. Then
// Temporal comes for the first time, is killed under a load and comes again, and
// the receiver and the worker live through that.
func TestKillBetweenSyncAndAnswer(t *testing.T) {
	s := newSystem(t)
	engine, address := s.addEngine(t)
	data := filepath.Join(s.dir, "data")
	starter := s.add(t, "starter", "starter", "TEMPORAL_ADDRESS="+address, "GRAPNEL_DATA_DIR="+data)
	starter.start(t)
	answers(t, "http://"+s.receive+"/")
	l := s.begin(t, 8, time.Millisecond)
	for range 4 {
		answers(t, "http://"+s.receive+"/")
		before := grown(data)
		require.Eventually(t, func() bool { return grown(data) > before }, time.Minute, 200*time.Microsecond)
		s.record.struck("starter, after a write", time.Now())
		starter.kill()
	}
	l.stop()
	engine.start(t)
	awaitEngine(t, address)
	worker := s.add(t, "worker", "worker", "TEMPORAL_ADDRESS="+address)
	worker.start(t)
	s.settled(t)

	t.Run("a dead engine keeps nobody waiting and is found again without a restart", func(t *testing.T) {
		starts := starter.count() + worker.count()
		l := s.begin(t, 8, 20*time.Millisecond)
		require.Eventually(t, func() bool { return l.serial.Load() > 20 }, time.Minute, 10*time.Millisecond)
		s.record.struck("engine", time.Now())
		engine.hold()
		died := l.serial.Load()
		require.Eventually(t, func() bool { return l.serial.Load() > died+100 }, time.Minute, 10*time.Millisecond)
		engine.release(t)
		l.stop()
		v := s.settled(t)
		require.Positive(t, v.Answers["queued"])
		require.Equal(t, starts, starter.count()+worker.count(), "starter and worker live on")
	})
}

// grown is the size of all that the spool holds.
func grown(dir string) (total int64) {
	names, _ := filepath.Glob(filepath.Join(dir, "spool", "*.log"))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			total += info.Size()
		}
	}
	return total
}

func TestChaosOfAFullDisk(t *testing.T) {
	if os.Getenv("CHAOS_DURATION") == "" {
		t.Skip("set CHAOS_DURATION, as make chaos does: the spool's own test fills a disk each time")
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	s := newSystem(t)
	data := filepath.Join(s.dir, "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) })
	engine, address := s.addEngine(t)
	starter := s.add(t, "starter", "starter", "TEMPORAL_ADDRESS="+address, "GRAPNEL_DATA_DIR="+data)
	starter.start(t)
	answers(t, "http://"+s.receive+"/")
	l := s.begin(t, 8, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		for _, e := range s.record.read(t)[refused] {
			if e.Answer[:3] == "503" {
				return true
			}
		}
		return false
	}, 2*time.Minute, 100*time.Millisecond, "the disk is never full")
	s.record.struck("starter, disk full", time.Now())
	starter.kill()
	engine.start(t)
	awaitEngine(t, address)
	s.add(t, "worker", "worker", "TEMPORAL_ADDRESS="+address).start(t)
	l.stop()
	s.settled(t)
}
