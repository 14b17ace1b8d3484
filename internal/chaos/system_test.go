package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

// system is everything under test, its record and its dice.
type system struct {
	dir     string
	receive string // host:port of the receiver
	record  *record
	target  *target
	seed    uint64
	dice    *rand.Rand

	ports map[int]bool // those that were given out
}

// newSystem makes the configuration and the destination. Nothing runs yet.
func newSystem(t *testing.T) *system {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes half a minute of real processes")
	}
	seed := seedOf(t)
	s := &system{
		dir: t.TempDir(), seed: seed, dice: rand.New(rand.NewPCG(seed, 0)), ports: map[int]bool{},
	}
	s.receive = s.freePort(t)
	s.record = newRecord(t, s.dir)
	s.target = newTarget(t, s.record)
	config := fmt.Sprintf(`
sources:
  zoom: {provider: zoom, secrets: [%q]}
destinations:
  recorder:
    events: ["zoom/chaos.load"]
    http: {url: %q}
    retry: {attempts: 60, schedule: [1s]}
    allow_private: ["127.0.0.1"]
`, secret, s.target.url)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "grapnel.yaml"), []byte(config), 0o600))
	t.Cleanup(func() { s.keepOnFailure(t) })
	return s
}

// add makes a process of the program; env is added to the system's own.
func (s *system) add(t *testing.T, name, command string, env ...string) *process {
	t.Helper()
	path, err := program()
	require.NoError(t, err)
	binary, err := enginetest.Binary()
	require.NoError(t, err)
	p := &process{
		name: name, path: path, args: []string{command}, dir: s.dir, ends: s.record.ended,
		env: append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TEMPORAL_CLI=" + binary,
			"GRAPNEL_CONFIG=" + filepath.Join(s.dir, "grapnel.yaml"),
			"GRAPNEL_LISTEN=" + s.receive, "GRAPNEL_ADMIN_LISTEN=" + s.freePort(t),
		}, env...),
	}
	return p
}

// freePort gives the address of a port that nobody has now, below those that the
// kernel gives to outgoing connections: one of them could take it while the
// process that serves on it is down.
func (s *system) freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := 20_000 + rand.IntN(12_000) // Not of the seed: another run may be under way.
		if s.ports[port] {
			continue
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, l.Close())
			s.ports[port] = true
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// addEngine makes a Temporal dev server of its own process.
func (s *system) addEngine(t *testing.T) (p *process, address string) {
	t.Helper()
	p = &process{name: "engine", dir: s.dir, ends: s.record.ended, env: os.Environ()}
	binary, err := enginetest.Binary()
	require.NoError(t, err)
	address = s.freePort(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	p.path = binary
	p.args = []string{
		"server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", port, "--log-level", "error",
		"--db-filename", filepath.Join(s.dir, "temporal.db"),
		"--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=full",
	}
	for name, kind := range engine.SearchAttributes() {
		p.args = append(p.args, "--search-attribute", name+"="+kind.String())
	}
	return p, address
}

// awaitEngine waits until an address takes connections.
func awaitEngine(t *testing.T, address string) {
	t.Helper()
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	}, 2*time.Minute, 50*time.Millisecond)
}

// addHalves makes a receiver and a worker that share the Temporal at an address.
func (s *system) addHalves(t *testing.T, address string) (starter, worker *process) {
	t.Helper()
	starter = s.add(t, "starter", "starter", "TEMPORAL_ADDRESS="+address, "GRAPNEL_DATA_DIR="+filepath.Join(s.dir, "data"))
	return starter, s.add(t, "worker", "worker", "TEMPORAL_ADDRESS="+address)
}

// blow is one way to hurt the system.
type blow struct {
	name   string
	strike func()
}

// killer is a blow that kills processes all at once.
func killer(name string, processes ...*process) blow {
	return blow{name, func() {
		for _, p := range processes {
			p.signal(syscall.SIGKILL)
		}
	}}
}

// strike strikes at random moments until the duration is over.
func (s *system) strike(t *testing.T, over time.Duration, every time.Duration, blows ...blow) {
	t.Helper()
	end := time.Now().Add(over)
	for {
		wait := every/2 + time.Duration(s.dice.Int64N(int64(every)))
		if time.Now().Add(wait).After(end) {
			return
		}
		time.Sleep(wait) // A random moment is what the test is about.
		b := blows[s.dice.IntN(len(blows))]
		s.record.struck(b.name, time.Now())
		b.strike()
	}
}

// keepOnFailure saves what a failed run left.
func (s *system) keepOnFailure(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	kept, err := os.MkdirTemp("", "grapnel-chaos-failed-")
	if err == nil {
		err = os.CopyFS(kept, os.DirFS(s.dir))
	}
	t.Logf("seed %d; logs and records are kept in %s (%v)", s.seed, kept, err)
}
