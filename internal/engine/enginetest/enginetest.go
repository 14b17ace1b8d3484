// Package enginetest runs a real Temporal dev server for tests, one for each
// test binary. A package that uses it has a TestMain of one line:
//
//	func TestMain(m *testing.M) { enginetest.Main(m) }
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/internal/engine"
)

// Server is a running dev server that keeps its state in memory. It has
// grapnel's search attributes and a namespace with grapnel's retention.
type Server struct {
	// Client is connected to Namespace. It is shared: do not close it.
	Client client.Client
	// Address is host:port of the frontend, on loopback.
	Address string
	// Namespace is the one that Client uses.
	Namespace string
	// Engine is the server's process.
	Engine *engine.Embedded
}

// sharedServer starts the test binary's server when the first test needs it. Main stops it.
var sharedServer = &lazyServer{}

type lazyServer struct {
	sync.Mutex
	asked  bool
	server *Server
	err    error
	dir    string
}

// Main runs the tests and then stops the server, if one was started. It must be the last line of
// TestMain.
func Main(m *testing.M) {
	m.Run() // Its exit code is that of the binary when TestMain returns.
	if err := sharedServer.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the test server:", err)
	}
}

// Shared returns the test binary's server, and starts it at the first call. If that is not
// possible, the test fails with a text that says what to do. Tests that share the server need
// workflow IDs and task queues of their own.
func Shared(t testing.TB) *Server {
	t.Helper()
	server, err := sharedServer.get()
	switch {
	case errors.Is(err, engine.ErrNoBinary):
		t.Fatalf("no Temporal CLI for the tests: run `make bin/temporal` at the module's root (%v)", err)
	case err != nil:
		t.Fatalf("start a Temporal server for the tests: %v", err)
	}
	return server
}

// Binary returns the path of the Temporal CLI for tests: bin/temporal at the module's root, else
// what engine.FindBinary finds.
func Binary() (string, error) {
	if root, err := moduleRoot(); err == nil {
		path := filepath.Join(root, "bin", "temporal")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return engine.FindBinary("", os.Environ())
}

func (l *lazyServer) get() (*Server, error) {
	l.Lock()
	defer l.Unlock()
	if !l.asked {
		l.asked = true
		l.server, l.err = l.start()
	}
	return l.server, l.err
}

func (l *lazyServer) start() (*Server, error) {
	binary, err := Binary()
	if err != nil {
		return nil, err
	}
	if l.dir, err = os.MkdirTemp("", "grapnel-test-"); err != nil {
		return nil, err
	}
	running, err := engine.Start(context.Background(), engine.EmbeddedOptions{
		DataDir: l.dir, Binary: binary, InMemory: true, AnyPorts: true,
	})
	if err != nil {
		return nil, err
	}
	c, err := engine.Dial(running.Settings(), engine.DialOptions{})
	if err != nil {
		return nil, errors.Join(err, running.Stop(context.Background()))
	}
	return &Server{Client: c, Address: running.Address, Namespace: running.Namespace, Engine: running}, nil
}

func (l *lazyServer) stop() error {
	l.Lock()
	defer l.Unlock()
	var err error
	if l.server != nil {
		l.server.Client.Close()
		err = l.server.Engine.Kill()
	}
	if l.dir != "" {
		err = errors.Join(err, os.RemoveAll(l.dir))
	}
	return err
}

// moduleRoot returns the nearest directory with a go.mod, from the working directory upwards. Tests
// run in the directory of their package.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod in this directory or above it")
		}
		dir = parent
	}
}
