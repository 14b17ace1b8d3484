package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

// built is the real binary, built once for all tests.
var built = &binary{}

type binary struct {
	once sync.Once
	dir  string
	err  error
}

// grapnel gives the path of the real binary.
func grapnel(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "grapnel-e2e-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", filepath.Join(built.dir, "grapnel"), "../../cmd/grapnel")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build grapnel: %w\n%s", err, out)
		}
	})
	require.NoError(t, built.err)
	return filepath.Join(built.dir, "grapnel")
}

func removeBinary() error {
	if built.dir == "" {
		return nil
	}
	return os.RemoveAll(built.dir)
}

// home is the working directory of a grapnel: its configuration and its state.
type home struct {
	dir string
	env []string
	// binary is the program to run; empty is the stock one.
	binary string
}

// newHome makes a directory with a configuration. The environment is that of a
// user who has set nothing about Temporal, on ports of the test's own.
func newHome(t *testing.T, config string, env ...string) *home {
	t.Helper()
	cli, err := enginetest.Binary()
	require.NoError(t, err)
	h := &home{dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "grapnel.yaml"), []byte(config), 0o600))
	h.env = append([]string{
		"PATH=" + filepath.Dir(cli) + ":" + os.Getenv("PATH"), "HOME=" + h.dir,
		"GRAPNEL_LISTEN=127.0.0.1:0", "GRAPNEL_ADMIN_LISTEN=127.0.0.1:0", "GRAPNEL_LOG_LEVEL=debug", "GRAPNEL_LOG_FORMAT=console",
	}, env...)
	return h
}

func (h *home) program(t *testing.T) string {
	t.Helper()
	if h.binary != "" {
		return h.binary
	}
	return grapnel(t)
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// starting is held while an engine starts.
var starting = &sync.Mutex{}

// program is a grapnel that runs until it is stopped.
type program struct {
	home     *home
	cmd      *exec.Cmd
	out, log *output
	exited   chan struct{}
	err      error
	// receiver, admin and temporal are where they listen, as the banner says.
	receiver, admin, temporal, namespace string
}

// start runs a command of grapnel that goes on, and waits until it says that it
// is up.
func (h *home) start(t *testing.T, args ...string) *program {
	t.Helper()
	if args[0] == "up" {
		// One at a time: two engines that look for the usual port at once may both
		// find it free.
		starting.Lock()
		defer starting.Unlock()
	}
	p := &program{home: h, out: &output{}, log: &output{}, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(context.Background(), h.program(t), args...)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = h.dir, h.env, p.out, p.log
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s %s wrote:\n%s\n%s", args, h.dir, p.out, p.log)
		}
	})
	until(t, "grapnel is up", func() bool {
		return strings.Contains(p.out.String(), "Ctrl-C stops it.") || strings.Contains(p.log.String(), `"msg":"grapnel is up"`) || p.ended()
	})
	require.False(t, p.ended(), "%s%s", p.out, p.log)
	// For people, or as a line of JSON.
	said := func(patterns ...string) string {
		for _, pattern := range patterns {
			if found := regexp.MustCompile(pattern).FindStringSubmatch(p.out.String() + p.log.String()); found != nil {
				return found[1]
			}
		}
		return ""
	}
	p.receiver = said(`receiver +(http://[^/]+)/`, `"receiver":"(http://[^/]+)/`)
	p.admin = said(`admin +(http://\S+)`, `"admin":"(http://[^"]+)"`)
	p.temporal = said(`Temporal +([^,]+), namespace`, `"temporal":"([^"]+)"`)
	p.namespace = said(`, namespace (\S+)`, `"namespace":"([^"]+)"`)
	return p
}

func (p *program) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// interrupt does what Ctrl-C does, and waits for the end.
func (p *program) interrupt(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	p.wait(t)
	require.NoError(t, p.err, "%s", p.log)
}

// kill is kill -9.
func (p *program) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	p.wait(t)
}

// wait waits for the end of the process. Halves may take thirty seconds to
// finish what they have in hand, the engine fifteen.
func (p *program) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		t.Fatal("grapnel has not ended within a minute")
	}
}

// run runs a command that ends, and gives what it wrote and its exit code.
func (h *home) run(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	return h.command(t, h.program(t), args...)
}

func (h *home) command(t *testing.T, name string, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = h.dir, h.env
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %s: %v\n%s", name, args, err, text)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// send posts a sample to a running receiver, as `grapnel send` does.
func (p *program) send(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	return p.home.run(t, append([]string{"send", "zoom", "--url", p.receiver}, args...)...)
}

// sent sends a sample that is taken, and gives its event ID.
func (p *program) sent(t *testing.T, args ...string) string {
	t.Helper()
	out, code := p.send(t, args...)
	require.Zero(t, code, "%s", out)
	return eventID(t, out)
}

func eventID(t *testing.T, out string) string {
	t.Helper()
	found := regexp.MustCompile(`"eventId":"([0-9a-f]{64})"`).FindStringSubmatch(out)
	require.NotNil(t, found, "%s", out)
	return found[1]
}

// system is the Temporal that a program works with, to look into.
func (p *program) system(t *testing.T) *system {
	t.Helper()
	c, err := engine.Dial(engine.Settings{Address: p.temporal, Namespace: p.namespace}, engine.DialOptions{})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	s := systemOf(c, p.temporal, p.namespace)
	s.url, s.secret = p.receiver, "grapnel-development-secret"
	return s
}

func systemOf(c client.Client, address, namespace string) *system {
	return &system{Server: &enginetest.Server{Client: c, Address: address, Namespace: namespace}, client: c}
}

// closed tells that nothing listens on an address.
func closed(address string) bool {
	c, err := net.DialTimeout("tcp", strings.TrimPrefix(address, "http://"), time.Second)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
