package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

// If this variable is set, the test binary is a grapnel that a test can kill: it starts an engine
// on the directory that the variable names, prints its address, and waits.
const (
	helperDir  = "GRAPNEL_TEST_ENGINE_DIR"
	helperTied = "GRAPNEL_TEST_ENGINE_TIED"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		helper(dir, os.Getenv(helperTied) != "")
		return
	}
	enginetest.Main(m)
}

func helper(dir string, tied bool) {
	binary, err := enginetest.Binary()
	o := engine.EmbeddedOptions{DataDir: dir, Binary: binary, AnyPorts: true}.Beside(true)
	if !tied {
		o = o.Untied()
	}
	e, startErr := engine.Start(context.Background(), o)
	if err != nil || startErr != nil {
		fmt.Println("failed", err, startErr)
		return
	}
	fmt.Println("engine", e.PID, e.Address)
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // This returns when the test has ended.
	_ = e.Kill()
}

// parent is a grapnel in a process of its own.
type parent struct {
	cmd     *exec.Cmd
	engine  int
	address string
}

func startParent(t *testing.T, dir string, tied bool) parent {
	t.Helper()
	p := parent{cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), helperDir+"="+dir)
	if tied {
		p.cmd.Env = append(p.cmd.Env, helperTied+"=1")
	}
	p.cmd.Stderr = t.Output()
	_, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Sscanf(line, "engine %d %s", &p.engine, &p.address)
	require.NoError(t, err, line)
	t.Cleanup(func() { _ = syscall.Kill(p.engine, syscall.SIGKILL) })
	return p
}

// kill ends the grapnel and not its engine, as kill -9 does.
func (p parent) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	require.Error(t, p.cmd.Wait())
}

// lock takes the engine's lock of a data directory and keeps it.
func lock(t *testing.T, dir string) error {
	t.Helper()
	return syscall.Flock(int(lockFile(t, dir).Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

func lockFile(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "engine.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestAnEngineIsTakenOver(t *testing.T) {
	for _, c := range []struct {
		name string
		tied bool
		hurt func(t *testing.T, pid int)
	}{
		{"when the kernel ended it with its parent", true, nil},
		{"when it outlived its parent", false, nil},
		{"when it outlived its parent and does not react", false, func(t *testing.T, pid int) {
			require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t).Grace(time.Second)
			p := startParent(t, o.DataDir, c.tied)
			startWorkflow(t, dial(t, engine.Settings{Address: p.address, Namespace: "default"}), "kept")
			p.kill(t)
			if c.hurt != nil {
				c.hurt(t, p.engine)
			}
			if !c.tied {
				require.NoError(t, syscall.Kill(p.engine, 0), "the engine was to outlive its parent")
				require.ErrorIs(t, lock(t, o.DataDir), syscall.EWOULDBLOCK)
			}
			e := start(t, o)
			require.NotEqual(t, p.engine, e.PID)
			requireGone(t, p.engine)
			_, err := dial(t, e.Settings()).DescribeWorkflowExecution(within(t), "kept", "")
			require.NoError(t, err)
		})
	}
}

// requireGone waits until a process has ended. Its lock is released a moment before, when the
// kernel closes its files.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return gone(pid) }, limit, time.Millisecond, "two engines on one file")
}

// gone tells whether a process has ended; one that nobody has waited for yet counts too.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(state), ") Z ")
}

func TestAKilledParentTakesItsEngineWithIt(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a child with its parent; elsewhere the next start takes it over")
	}
	o := options(t)
	p := startParent(t, o.DataDir, true)
	p.kill(t)
	free := make(chan error, 1)
	file := lockFile(t, o.DataDir)
	go func() { free <- syscall.Flock(int(file.Fd()), syscall.LOCK_EX) }()
	select {
	case err := <-free:
		require.NoError(t, err)
	case <-time.After(limit):
		require.FailNow(t, "the engine outlived its parent and holds the lock")
	}
	requireGone(t, p.engine)
}

func TestADataDirectoryHasOneGrapnel(t *testing.T) {
	t.Run("a second process is told who has it", func(t *testing.T) {
		o := options(t)
		p := startParent(t, o.DataDir, true)
		_, err := engine.Start(within(t), o)
		var busy *engine.BusyError
		require.ErrorAs(t, err, &busy)
		require.Equal(t, p.cmd.Process.Pid, busy.PID)
		require.ErrorContains(t, err, fmt.Sprintf("another grapnel (pid %d) runs on data directory %s", busy.PID, o.DataDir))
		require.NoError(t, syscall.Kill(p.engine, 0), "its engine was to be left alone")
		p.kill(t)
	})
	t.Run("of many starts at once one succeeds", func(t *testing.T) {
		o := options(t)
		var all sync.WaitGroup
		started := make(chan *engine.Embedded, 8)
		for range cap(started) {
			all.Go(func() {
				e, err := engine.Start(within(t), o)
				var busy *engine.BusyError
				if err != nil && !errors.As(err, &busy) {
					t.Errorf("neither started nor refused: %v", err)
				}
				started <- e
			})
		}
		all.Wait()
		close(started)
		count := 0
		for e := range started {
			if e != nil {
				count++
				require.NoError(t, e.Kill())
			}
		}
		require.Equal(t, 1, count)
	})
	t.Run("a lock held by what is no engine is reported, and its holder left alone", func(t *testing.T) {
		o := options(t)
		require.NoError(t, lock(t, o.DataDir))
		_, err := engine.Start(within(t), o)
		require.ErrorContains(t, err, "cannot be seen from here")
	})
}

func TestTheEngineIsOutOfReachOfTheTerminal(t *testing.T) {
	e := start(t, options(t))
	group, err := syscall.Getpgid(e.PID)
	require.NoError(t, err)
	require.Equal(t, e.PID, group, "Ctrl-C must not reach it before grapnel stops it")
}

func TestEnginesAreFoundInAProcessList(t *testing.T) {
	const list = `    1 /sbin/launchd
  612 /opt/grapnel/bin/temporal server start-dev --ip 127.0.0.1 --port 7233 --db-filename engine.db
  613 temporal server start-dev --ip 127.0.0.1 --port 7234 --db-filename engine.db
  614 temporal server start-dev --ip 127.0.0.1 --port 7233 --db-filename other.db
  615 vi --port 7233 --db-filename engine.db
  x temporal server start-dev --port 7233 --db-filename engine.db

  616
`
	require.Equal(t, []int{612}, engine.EnginesIn(list, 7233))
	require.Equal(t, []int{613}, engine.EnginesIn(list, 7234))
	require.Empty(t, engine.EnginesIn(list, 7235))
}
