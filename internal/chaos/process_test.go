// Package chaos_test kills the built program and its engine while a load goes
// on, and compares afterwards what was acknowledged with what was handled. A
// failure is replayed as far as the clock allows with CHAOS_SEED; CHAOS_DURATION
// makes the runs longer, CHAOS_REPORT names the directory where reports are kept.
package chaos_test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := workshop(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// process is one that is kept alive: when it ends, by a kill or by itself, it is
// started again, as an orchestrator does.
type process struct {
	name string
	path string
	args []string
	env  []string
	dir  string // of its log, and where it runs unless home says otherwise
	home string
	as   *syscall.Credential // nil runs it as oneself
	ends func(name string, at time.Time)

	mu       sync.Mutex
	cmd      *exec.Cmd
	held     bool // it stays down after the next end
	stopping bool
	starts   int
	down     chan struct{} // closed while it does not run
}

// restartAfter is how long a process stays down.
const restartAfter = 200 * time.Millisecond

// start starts the process and keeps it alive until the test ends.
func (p *process) start(t *testing.T) {
	t.Helper()
	require.NoError(t, p.launch())
	t.Cleanup(func() {
		p.mu.Lock()
		p.stopping = true
		p.mu.Unlock()
		p.kill()
	})
}

func (p *process) launch() error {
	log, err := os.OpenFile(filepath.Join(p.dir, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.env, cmp.Or(p.home, p.dir), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.as}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.down = cmd, make(chan struct{})
	p.starts++
	go p.watch(cmd, p.down)
	return nil
}

func (p *process) watch(cmd *exec.Cmd, down chan struct{}) {
	_ = cmd.Wait() // How it ends does not matter.
	p.ends(p.name, time.Now())
	p.mu.Lock()
	again := !p.stopping && !p.held
	p.mu.Unlock()
	close(down)
	if again {
		time.Sleep(restartAfter)
		p.mu.Lock()
		again = !p.stopping && !p.held
		p.mu.Unlock()
		if again {
			_ = p.launch()
		}
	}
}

// signal sends a signal to the process, if it runs.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // It may have ended.
	}
}

// kill ends the process at once and waits for its end. It comes back by itself.
func (p *process) kill() {
	p.mu.Lock()
	down := p.down
	p.mu.Unlock()
	p.signal(syscall.SIGKILL)
	<-down
}

// hold kills the process and keeps it down until release.
func (p *process) hold() {
	p.mu.Lock()
	p.held = true
	p.mu.Unlock()
	p.kill()
}

func (p *process) release(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	p.held = false
	p.mu.Unlock()
	require.NoError(t, p.launch())
}

func (p *process) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// children gives the PIDs of the children whose command line holds a word.
func (p *process) children(word string) (pids []int) {
	p.mu.Lock()
	pid := p.cmd.Process.Pid
	p.mu.Unlock()
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for child := range strings.FieldsSeq(string(text)) {
			line, _ := os.ReadFile("/proc/" + child + "/cmdline")
			if n, err := strconv.Atoi(child); err == nil && strings.Contains(string(line), word) {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// answers waits until an address answers a GET at all.
func answers(t *testing.T, url string) {
	t.Helper()
	require.Eventually(t, func() bool {
		res, err := http.Get(url)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return true
	}, 2*time.Minute, 50*time.Millisecond, "%s never answers", url)
}
