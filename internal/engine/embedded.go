package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// Bounds of the engine's start and stop. A first start makes the database and takes a few seconds;
// a stop takes about three.
const (
	startTimeout  = 2 * time.Minute
	stopTimeout   = 15 * time.Second
	startAttempts = 5
)

// Embedded is a running embedded engine.
type Embedded struct {
	// Address is host:port of the engine's frontend, on loopback.
	Address string
	// Namespace is the one of the options.
	Namespace string
	// UI is the address of the Web UI, on loopback. This process proxies it, so it ends with this
	// process.
	UI string
	// PID is the engine's process ID.
	PID int
	// LogFile is the path of the engine's log.
	LogFile string

	options EmbeddedOptions
	ports   ports
	webUI   *webUI
	locks   *locks
	process *process
	done    chan error
	stop    sync.Once
	stopErr error
	leaving chan struct{} // Closed when Stop begins.
}

// Start runs the embedded engine on a data directory: the Temporal CLI's dev server on a SQLite
// file, as a child process that ends with this one. It returns when the engine serves and has the
// namespace and search attributes. If a killed grapnel left an engine over on the directory, that
// one is stopped first; if another grapnel runs on the directory, the error is a *BusyError.
// Cancelling ctx gives up the start, but does not stop an engine that Start has returned.
func Start(ctx context.Context, o EmbeddedOptions) (*Embedded, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	held, err := lockOwner(o.DataDir)
	if err != nil {
		return nil, err
	}
	return start(ctx, o, held, nil)
}

// Restart starts an engine again that has ended by itself, on the same data directory, which is
// still locked, and at the same addresses, because clients know them.
func (e *Embedded) Restart(ctx context.Context) (*Embedded, error) {
	e.stop.Do(func() { close(e.leaving) }) // A later Stop of e does nothing: locks and Web UI go to the new engine.
	return start(ctx, e.options, e.locks, e)
}

// start starts the engine under the owner's lock, and releases the lock if that fails. last is the
// engine that has ended, nil at the first start.
func start(ctx context.Context, o EmbeddedOptions, held *locks, last *Embedded) (*Embedded, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	e, err := startLocked(ctx, o, held, last)
	if err != nil {
		held.release()
		return nil, err
	}
	go e.watch()
	return e, nil
}

// startLocked takes the engine's lock and the port of the Web UI, and starts the engine.
func startLocked(ctx context.Context, o EmbeddedOptions, held *locks, last *Embedded) (*Embedded, error) {
	if err := held.takeEngine(ctx, o); err != nil {
		return nil, err
	}
	if last != nil {
		return startWithUI(ctx, o, held, last.webUI, func(int) (ports, error) { return last.ports, nil })
	}
	frontend, ui := o.wantedPorts(held)
	uiProxy, err := openWebUI(ctx, ui, o.Port != 0, o.Logger)
	if err != nil {
		return nil, err
	}
	return startWithUI(ctx, o, held, uiProxy, func(attempt int) (ports, error) {
		if attempt > 0 && o.Port == 0 {
			return choosePorts(ctx, 0, false)
		}
		return choosePorts(ctx, frontend, o.Port != 0)
	})
}

// startWithUI makes the directory ready and starts the engine behind the proxy of its Web UI. It
// closes the proxy if that fails.
func startWithUI(
	ctx context.Context, o EmbeddedOptions, held *locks, uiProxy *webUI, choose func(attempt int) (ports, error),
) (e *Embedded, err error) {
	defer func() {
		if err != nil {
			uiProxy.close()
		}
	}()
	if err := o.rotateLog(); err != nil {
		return nil, err
	}
	fresh, err := o.prepareDatabase()
	if err != nil {
		return nil, err
	}
	if fresh && !o.keepsIndexes() {
		// Only the engine can make its tables, and trimming needs them. So the engine is started
		// once to make them and ended again, before anyone has its address.
		first, err := tryPorts(ctx, o, held, uiProxy, choose)
		if err != nil {
			return nil, err
		}
		if err := first.process.end(); err != nil {
			return nil, err
		}
	}
	o.trim(ctx)
	return tryPorts(ctx, o, held, uiProxy, choose)
}

// tryPorts launches the engine. If another process was faster to take a port, it tries again with
// other ports, where they may be chosen.
func tryPorts(
	ctx context.Context, o EmbeddedOptions, held *locks, uiProxy *webUI, choose func(attempt int) (ports, error),
) (*Embedded, error) {
	var faults error
	for attempt := range startAttempts {
		p, err := choose(attempt)
		if err != nil {
			return nil, err
		}
		e, err := launch(ctx, o, held, uiProxy, p)
		if err != nil {
			return nil, err
		}
		if err = e.await(ctx); err == nil {
			return e, nil
		}
		cleared, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		err = errors.Join(err, e.process.stop(cleared))
		cancel()
		faults = errors.Join(faults, err)
		if !e.process.portTaken() {
			break
		}
	}
	return nil, faults
}

// Settings returns what Dial needs to reach the engine.
func (e *Embedded) Settings() Settings {
	return Settings{Address: e.Address, Namespace: e.Namespace, UI: e.UI}
}

// Done returns a channel for one reader. It gives one error, with the end of the log, if the engine
// ends by itself. It is closed then, and after Stop.
func (e *Embedded) Done() <-chan error { return e.done }

func (e *Embedded) watch() {
	defer close(e.done)
	<-e.process.exited
	select {
	case <-e.leaving:
	default:
		e.done <- e.process.fault()
	}
}

// Stop asks the engine to stop, waits for that until ctx ends or for fifteen seconds, and then
// kills it. When Stop returns, the engine is gone and the data directory is free. It is safe to
// repeat.
func (e *Embedded) Stop(ctx context.Context) error {
	e.stop.Do(func() {
		close(e.leaving)
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		e.webUI.close()
		e.stopErr = e.process.stop(ctx)
		e.locks.release()
	})
	return e.stopErr
}

// Kill ends the engine at once, as a crash would, and frees the data directory. A later Stop does
// nothing.
func (e *Embedded) Kill() error {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Stop(over); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// awaitPause is the longest pause between two attempts to reach an engine that starts.
const awaitPause = 100 * time.Millisecond

// launch starts the process, which inherits the engine's lock.
func launch(ctx context.Context, o EmbeddedOptions, held *locks, uiProxy *webUI, p ports) (*Embedded, error) {
	// The engine outlives the context of its start.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), o.Binary, o.arguments(p)...) //nolint:gosec // Which binary to run is the operator's choice.
	cmd.Dir, cmd.Env = o.DataDir, o.environ()
	cmd.ExtraFiles = []*os.File{held.engine}
	cmd.SysProcAttr = processAttributes(!o.untied)
	e := &Embedded{
		Address:   loopbackAddress(p.frontend),
		Namespace: o.Namespace,
		UI:        "http://" + loopbackAddress(uiProxy.port),
		LogFile:   o.logFile(),
		options:   o,
		ports:     p,
		webUI:     uiProxy,
		locks:     held,
		done:      make(chan error, 1),
		leaving:   make(chan struct{}),
	}
	record := lockRecord{Grapnel: os.Getpid(), Port: p.frontend, Address: e.Address, UI: e.UI}
	if err := writeRecord(held.engine, record); err != nil {
		return nil, err
	}
	process, err := startProcess(cmd, o.nice(), o.logFile())
	if err != nil {
		return nil, err
	}
	e.process, e.PID, record.Engine = process, process.pid, process.pid
	uiProxy.forwardTo(net.JoinHostPort(p.uiIP, strconv.Itoa(p.ui)))
	o.Logger.Info("engine is starting", "pid", e.PID, "address", e.Address, "ui", e.UI, "log", e.LogFile)
	if err := writeRecord(held.engine, record); err != nil {
		err = errors.Join(err, process.signal(os.Kill))
		<-process.exited
		return nil, err
	}
	return e, nil
}

// await waits until the engine serves and Setup has succeeded, or until the engine has ended.
func (e *Embedded) await(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-e.process.exited:
			cancel(e.process.fault())
		case <-ctx.Done():
		}
	}()
	c, err := Dial(e.Settings(), DialOptions{GRPC: []grpc.DialOption{reconnect(awaitPause)}})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = Setup(ctx, c, SetupOptions{
		Namespace: e.Namespace, Retention: e.options.Retention,
		Update: true, AllowShorter: true, Logger: e.options.Logger, pauseMax: awaitPause,
	})
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return fmt.Errorf("start the engine: %w", cause)
	}
	if err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	if e.options.InMemory {
		return nil
	}
	return confirmDatabase(e.options.DataDir)
}

// Running finds the embedded engine that runs on a data directory, for commands that need its
// address. It takes no lock, so that it can't hinder a start.
func Running(ctx context.Context, dir, namespace string) (Settings, bool) {
	f, err := os.Open(filepath.Join(dir, engineLockName))
	if err != nil {
		return Settings{}, false
	}
	defer func() { _ = f.Close() }()
	r := readRecord(f)
	if r.Address == "" {
		return Settings{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.Address)
	if err != nil {
		return Settings{}, false
	}
	_ = c.Close()
	return Settings{Address: r.Address, Namespace: namespace, UI: r.UI}, true
}
