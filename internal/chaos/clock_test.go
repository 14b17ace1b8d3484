package chaos_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wall is the clock on the wall of one process.
type wall struct {
	*process
	path string
}

// withWall gives a process that is not started yet a clock that can be stepped.
func (s *system) withWall(t *testing.T, p *process) *wall {
	t.Helper()
	program, err := steppedProgram()
	require.NoError(t, err)
	w := &wall{process: p, path: filepath.Join(s.dir, p.name+".clock")}
	require.NoError(t, os.WriteFile(w.path, []byte("0s"), 0o600))
	p.path, p.env = program, append(p.env, "CHAOS_CLOCK="+w.path)
	return w
}

// step sets how far the clock is off, and waits until it is.
func (s *system) step(t *testing.T, w *wall, off time.Duration) {
	t.Helper()
	off = off.Truncate(time.Second)
	began, text := time.Now(), off.String()
	require.NoError(t, os.WriteFile(w.path+".next", []byte(text), 0o600))
	require.NoError(t, os.Rename(w.path+".next", w.path))
	require.Eventually(t, func() bool {
		held, _ := os.ReadFile(w.path + ".held")
		return string(held) == text
	}, time.Minute, 5*time.Millisecond)
	s.record.add(entry{What: stepped, At: began, Took: time.Since(began), Key: w.name, Off: off})
}

// near is a step that senders and receiver must bear, far one that they can't.
func (s *system) near() time.Duration {
	return time.Duration(s.dice.Int64N(int64(8*time.Minute))) - 4*time.Minute
}

func (s *system) far() time.Duration {
	d := time.Hour + time.Duration(s.dice.Int64N(int64(96*time.Hour)))
	if s.dice.IntN(2) == 0 {
		return -d
	}
	return d
}

// grows waits until a count of the load has grown by n.
func grows(t *testing.T, count interface{ Load() int64 }, n int64) {
	t.Helper()
	before := count.Load()
	require.Eventually(t, func() bool { return count.Load() >= before+n }, 2*time.Minute, 10*time.Millisecond)
}

// TestStepsOfTheClock steps the clocks of receiver and worker, each by itself, while
// nobody is killed: so no event may be handled twice. Then Temporal goes away,
// what waits in the spool lives through steps and through a receiver that is
// killed and comes back with a wrong clock, and the steps go on together with kills.
func TestStepsOfTheClock(t *testing.T) {
	if os.Getenv("CHAOS_DURATION") == "" {
		t.Skip("set CHAOS_DURATION, as make chaos does: it builds the program together with all of Go's own packages")
	}
	s := newSystem(t)
	s.target.moody.Store(true)
	engine, address := s.addEngine(t)
	engine.start(t)
	awaitEngine(t, address)
	starter, worker := s.addHalves(t, address)
	door, hand := s.withWall(t, starter), s.withWall(t, worker)
	door.start(t)
	hand.start(t)
	answers(t, "http://"+s.receive+"/")
	l := s.begin(t, 8, 40*time.Millisecond)
	stepDoor := blow{"clock of starter", func() { s.step(t, door, s.near()) }}
	stepHand := blow{"clock of worker", func() { s.step(t, hand, s.near()) }}
	far := blow{"clock of starter, far", func() {
		s.step(t, door, s.far())
		grows(t, &l.undated, 3)
		s.step(t, door, s.near())
		grows(t, &l.acks, 3)
	}}
	farHand := blow{"clock of worker, far", func() { s.step(t, hand, s.far()) }}
	far.strike() // At least once, whatever the dice say.
	s.strike(t, durationOf(t)/2, time.Second, stepDoor, stepDoor, stepHand, stepHand, far, farHand)
	require.Equal(t, 2, door.count()+hand.count(), "a step ends no process")

	engine.hold()
	s.step(t, door, s.near())
	grows(t, &l.acks, 20)
	s.step(t, door, s.far())
	s.record.struck("starter, its clock wrong", time.Now())
	door.kill()
	answers(t, "http://"+s.receive+"/")
	grows(t, &l.undated, 3)
	s.step(t, door, s.near())
	grows(t, &l.acks, 20)
	engine.release(t)

	kill := func(p *process) func() { return func() { p.signal(syscall.SIGKILL) } }
	s.strike(t, durationOf(t)/2, time.Second, stepDoor, stepHand, far, farHand,
		blow{"starter", kill(door.process)}, blow{"worker", kill(hand.process)})
	s.step(t, door, 0)
	s.step(t, hand, 0)
	grows(t, &l.acks, 3)
	l.stop()
	require.Positive(t, s.settled(t).Misdated)
}
