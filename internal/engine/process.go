package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// tailSize is how much of the log an error quotes, in bytes.
const tailSize = 4 << 10

// process is one running engine and its log.
type process struct {
	handle  *os.Process
	pid     int
	exited  chan struct{} // Closed when the process has ended and been waited for.
	err     error         // How it ended; to be read after exited.
	logFile string
	logFrom int64 // Where this run begins in the log.
}

// startProcess starts cmd and waits for it on an operating system thread of its own. Linux ends the
// child with that thread, not with the process, so the thread must last as long as the child. The
// child runs with its niceness raised by nice, if the system allows it.
func startProcess(cmd *exec.Cmd, nice int, logFile string) (*process, error) {
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the engine's log: %w", err)
	}
	defer func() { _ = out.Close() }()
	from, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("open the engine's log: %w", err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	p := &process{exited: make(chan struct{}), logFile: logFile, logFrom: from}
	started := make(chan error)
	go func() {
		// The thread is never unlocked, so it ends with this goroutine: no other goroutine gets its
		// lowered priority.
		runtime.LockOSThread()
		err := startBelow(cmd, nice)
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p.handle, p.pid = cmd.Process, cmd.Process.Pid
	return p, nil
}

// fault is the error of a process that ended by itself, with the end of its log.
func (p *process) fault() error {
	how := "it exited without an error"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("the engine (pid %d) ended: %s; its log %s ends with:\n%s", p.pid, how, p.logFile, p.tail())
}

// tail returns the end of what this run wrote to the log.
func (p *process) tail() string {
	text, err := p.wrote()
	if err != nil {
		return err.Error()
	}
	text = text[max(len(text)-tailSize, 0):]
	return strings.TrimSpace(strings.ToValidUTF8(text, "?"))
}

// portTaken tells whether this run found one of its ports in use. It reads the whole log of the
// run, because an engine that loses a port after its own check panics with a stack longer than the
// tail.
func (p *process) portTaken() bool {
	text, err := p.wrote()
	return err == nil && strings.Contains(text, "address already in use")
}

// wrote returns what this run wrote to the log, at most the last logMax bytes.
func (p *process) wrote() (string, error) {
	f, err := os.Open(p.logFile)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	from := max(p.logFrom, info.Size()-logMax)
	text, err := io.ReadAll(io.NewSectionReader(f, from, logMax))
	return string(text), err
}

// stop asks the process to stop, and kills it if ctx ends first. It returns ctx's error then, and
// nil if the process stopped in time.
func (p *process) stop(ctx context.Context) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
	}
	if err := p.end(); err != nil {
		return err
	}
	return fmt.Errorf("the engine (pid %d) did not stop in time and was ended: %w", p.pid, ctx.Err())
}

// end ends the process at once, as a crash would.
func (p *process) end() error {
	err := p.signal(syscall.SIGKILL)
	if err == nil {
		<-p.exited
	}
	return err
}

func (p *process) signal(s os.Signal) error {
	if err := p.handle.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal the engine (pid %d): %w", p.pid, err)
	}
	return nil
}

// The usual ports of Temporal's frontend and of its Web UI.
const (
	usualPort   = 7233
	usualUIPort = 8233
)

const loopback = "127.0.0.1"

// ports are the ports of one engine, all on loopback. ui and uiIP are the address of the engine's
// own Web UI; people open that of our proxy.
type ports struct {
	frontend, ui, http, metrics int
	uiIP                        string
}

// choosePorts returns the wanted port of the frontend if it is free, else a free one, and free
// ports for all others. If fixed, the frontend's must be free. Another process may take one of them
// before the engine does; the engine ends at once then, and tryPorts tries others.
func choosePorts(ctx context.Context, frontend int, fixed bool) (ports, error) {
	p := ports{uiIP: hiddenIP(ctx)}
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for _, one := range []struct {
		port   *int
		wanted int
	}{{&p.frontend, frontend}, {&p.ui, 0}, {&p.http, 0}, {&p.metrics, 0}} {
		l, err := listenLoopback(ctx, one.wanted, fixed)
		if err != nil {
			return ports{}, err
		}
		held = append(held, l)
		*one.port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

// wantedPorts returns the wanted ports of the frontend and of the proxy of the Web UI: the fixed
// ones, else those of the last run on the data directory, so that addresses survive a restart, else
// the usual ones if no other grapnel on this machine has them. 0 means any.
func (o EmbeddedOptions) wantedPorts(held *locks) (frontend, ui int) {
	last := readRecord(held.engine)
	switch {
	case o.Port != 0:
		return o.Port, o.Port + 1000
	case last.Port != 0:
		frontend = last.Port
		if _, port, ok := strings.Cut(strings.TrimPrefix(last.UI, "http://"), ":"); ok {
			ui, _ = strconv.Atoi(port) // On an error it is 0, any port.
		}
	case !o.AnyPorts:
		frontend, ui = usualPort, usualUIPort
	}
	if frontend == usualPort && !held.takeUsualPorts() {
		return 0, 0
	}
	return frontend, ui
}

func loopbackAddress(port int) string {
	return net.JoinHostPort(loopback, strconv.Itoa(port))
}
