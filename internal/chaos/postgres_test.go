package chaos_test

import (
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// database is a PostgreSQL of its own data directory, whose postmaster is kept
// alive.
type database struct {
	*process
	host, port string
}

// addDatabase makes a cluster on disk and its process; nothing serves yet. The
// server refuses to run as root, so root runs it as the user of Debian's package.
func (s *system) addDatabase(t *testing.T) *database {
	t.Helper()
	bin, as := postgresBinaries(t), postgresUser(t)
	// Not below the system's directory, which another user can't enter.
	home, err := os.MkdirTemp("", "grapnel-chaos-postgres-")
	require.NoError(t, err)
	t.Cleanup(func() {
		// The children of a killed postmaster end a moment after it.
		require.Eventually(t, func() bool { return os.RemoveAll(home) == nil }, time.Minute, 100*time.Millisecond)
	})
	if as != nil {
		require.NoError(t, os.Chown(home, int(as.Uid), int(as.Gid)))
	}
	data := filepath.Join(home, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata", data, "--username", "temporal",
		"--auth", "trust", "--encoding", "UTF8", "--no-locale")
	initdb.Dir, initdb.SysProcAttr = home, &syscall.SysProcAttr{Credential: as}
	out, err := initdb.CombinedOutput()
	require.NoError(t, err, "initdb: %s", out)
	d := &database{}
	d.host, d.port, err = net.SplitHostPort(s.freePort(t))
	require.NoError(t, err)
	d.process = &process{
		name: "postgres", path: filepath.Join(bin, "postgres"), dir: s.dir, home: home, as: as,
		ends: s.record.ended, env: os.Environ(),
		args: []string{
			"-D", data, "-h", d.host, "-p", d.port, "-k", "", "-c", "max_connections=200",
			"-c", "fsync=on", "-c", "full_page_writes=on", "-c", "synchronous_commit=on",
		},
	}
	return d
}

// postgresBinaries is the directory of initdb and postgres, which Debian's
// package does not put on PATH.
func postgresBinaries(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Skip("no PostgreSQL on PATH or in /usr/lib/postgresql: install Debian's package postgresql")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
}

// postgresUser is whom the database runs as; nil is oneself.
func postgresUser(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Skipf("root can't run PostgreSQL, and there is no user postgres: install Debian's package postgresql (%v)", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// killBackend kills one of the processes that serve the connections, at which
// PostgreSQL ends all others and recovers.
func (s *system) killBackend(d *database) {
	if pids := d.children("postgres: temporal "); len(pids) > 0 {
		_ = syscall.Kill(pids[s.dice.IntN(len(pids))], syscall.SIGKILL) // It may just have ended.
	}
}

func TestKillAnythingOfAClusterOnPostgreSQL(t *testing.T) {
	s := newSystem(t)
	files := temporalFiles(t)
	d := s.addDatabase(t)
	d.start(t)
	files.makeSchemas(t, d)
	server, address := s.addServer(t, files, d)
	server.start(t)
	s.setUp(t, address)
	starter, worker := s.addHalves(t, address)
	starter.start(t)
	worker.start(t)
	answers(t, "http://"+s.receive+"/")
	l := s.begin(t, 8, 40*time.Millisecond)
	// A server that was killed needs ten seconds and more until it serves again.
	s.strike(t, durationOf(t), 6*time.Second,
		killer("starter", starter), killer("worker", worker), killer("temporal", server),
		killer("postgres", d.process), blow{"backend of postgres", func() { s.killBackend(d) }},
		killer("all", starter, worker, server, d.process))
	answers(t, "http://"+s.receive+"/")
	l.stop()
	s.settled(t)
}
