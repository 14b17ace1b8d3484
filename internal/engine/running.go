package engine

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Running finds the embedded engine that serves on a data directory now, for
// commands that ask it something. It takes no lock: a look must not be in the
// way of a start.
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
	return Settings{Address: r.Address, Namespace: namespace}, true
}
