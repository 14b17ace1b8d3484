package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/worker"
)

// The test binary runs itself as a worker that can die. The variable is its
// task queue.
const (
	childVariable  = "GRAPNEL_TEST_WORKER"
	childAddress   = "GRAPNEL_TEST_TEMPORAL"
	childNamespace = "GRAPNEL_TEST_NAMESPACE"
)

// exitCode is how a handler of the child ends its process.
const exitCode = 3

// child is a worker with a handler that ends the process, one that hangs, and
// one for everything else.
func child() {
	if err := runChild(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runChild() error {
	queue := os.Getenv(childVariable)
	settings := engine.Settings{Address: os.Getenv(childAddress), Namespace: os.Getenv(childNamespace)}
	c, err := engine.Dial(settings, engine.DialOptions{})
	if err != nil {
		return err
	}
	table := &handler.Table{}
	handler.On(table, "zoom", "meeting.exits", func(context.Context, handler.Event[[]byte]) error {
		os.Exit(exitCode)
		return nil
	})
	handler.On(table, "zoom", "meeting.hangs", func(_ context.Context, e handler.Event[[]byte]) error {
		if e.Attempt > 1 {
			return nil
		}
		fmt.Println("hangs")
		select {}
	})
	handler.On(table, "zoom", "meeting.works", func(context.Context, handler.Event[[]byte]) error { return nil })
	w := worker.New(c, worker.Options{TaskQueue: queue, Activities: activities.New(c, queue).WithHandlers(table)})
	gone := make(chan any)
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte() // Until the test is gone.
		close(gone)
	}()
	return errors.Join(w.Run(mergeInterrupt(gone)))
}

func mergeInterrupt(gone <-chan any) <-chan any {
	stop := make(chan any)
	go func() {
		select {
		case <-gone:
		case <-sdkworker.InterruptCh():
		}
		close(stop)
	}()
	return stop
}

// supervised is a worker in a process of its own that is started again
// whenever it dies, as an orchestrator does.
type supervised struct {
	// exits counts how often a handler has ended the process.
	exits atomic.Int32
	// said has a line of what the process writes.
	said chan string
	// current is the process that runs now.
	current atomic.Pointer[os.Process]
}

func supervise(t *testing.T, s *system) *supervised {
	t.Helper()
	v := &supervised{said: make(chan string, 16)}
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- v.loop(ctx, s) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-over)
	})
	return v
}

func (v *supervised) loop(ctx context.Context, s *system) error {
	for ctx.Err() == nil {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(),
			childVariable+"="+s.queue, childAddress+"="+s.Address, childNamespace+"="+s.Namespace)
		cmd.Stderr = os.Stderr
		if _, err := cmd.StdinPipe(); err != nil {
			return err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		v.current.Store(cmd.Process)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			v.said <- lines.Text()
		}
		_ = cmd.Wait()
		if cmd.ProcessState.ExitCode() == exitCode {
			v.exits.Add(1)
		}
	}
	return nil
}
