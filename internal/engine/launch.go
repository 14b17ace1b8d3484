//go:build unix

package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"google.golang.org/grpc"
)

// awaitPause is the longest pause between two looks at an engine that starts.
const awaitPause = 100 * time.Millisecond

// launch starts the process, which inherits the engine's lock.
func launch(ctx context.Context, o EmbeddedOptions, held *locks, p ports) (*Embedded, error) {
	// The engine outlives the context of its start.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), o.Binary, o.arguments(p)...) //nolint:gosec // Which binary to run is the operator's choice.
	cmd.Dir, cmd.Env = o.DataDir, o.environ()
	cmd.ExtraFiles = []*os.File{held.engine}
	cmd.SysProcAttr = processAttributes(!o.untied)
	e := &Embedded{
		Address:   loopbackAddress(p.frontend),
		Namespace: o.Namespace,
		UI:        "http://" + loopbackAddress(p.ui),
		Metrics:   "http://" + loopbackAddress(p.metrics) + "/metrics",
		LogFile:   o.logFile(),
		options:   o,
		ports:     p,
		locks:     held,
		done:      make(chan error, 1),
		leaving:   make(chan struct{}),
	}
	said := record{Grapnel: os.Getpid(), Port: p.frontend, Address: e.Address, UI: e.UI}
	if err := writeRecord(held.engine, said); err != nil {
		return nil, err
	}
	process, err := startProcess(cmd, o.nice(), o.logFile())
	if err != nil {
		return nil, err
	}
	e.process, e.PID, said.Engine = process, process.pid, process.pid
	o.Logger.Info("engine is starting", "pid", e.PID, "address", e.Address, "ui", e.UI, "log", e.LogFile)
	if err := writeRecord(held.engine, said); err != nil {
		err = errors.Join(err, process.signal(os.Kill))
		<-process.exited
		return nil, err
	}
	return e, nil
}

// await waits until the engine serves with all that it must have, or is dead.
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
	e.Report, err = Setup(ctx, c, SetupOptions{
		Namespace: e.Namespace, Retention: e.options.Retention,
		AllowShorter: true, Logger: e.options.Logger, pauseMax: awaitPause,
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
