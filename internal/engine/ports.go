package engine

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// The usual ports of Temporal's frontend and of its Web UI.
const (
	usualPort   = 7233
	usualUIPort = 8233
)

const loopback = "127.0.0.1"

// ports are those of one engine, all on loopback.
type ports struct{ frontend, ui, http, metrics int }

// choosePorts takes the usual ports where they are free and wanted, and free
// ones else. Another process may take one of them before the engine does; then
// the engine ends at once and other ports are tried.
func choosePorts(ctx context.Context, usual bool) (p ports, err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	var listen net.ListenConfig
	take := func(preferred int) (int, error) {
		l, err := listen.Listen(ctx, "tcp", loopbackAddress(preferred))
		if err != nil && preferred != 0 {
			l, err = listen.Listen(ctx, "tcp", loopbackAddress(0))
		}
		if err != nil {
			return 0, fmt.Errorf("find a free port on %s for the engine: %w", loopback, err)
		}
		held = append(held, l)
		return l.Addr().(*net.TCPAddr).Port, nil
	}
	wanted := [4]int{}
	if usual {
		wanted = [4]int{usualPort, usualUIPort}
	}
	for i, port := range []*int{&p.frontend, &p.ui, &p.http, &p.metrics} {
		if *port, err = take(wanted[i]); err != nil {
			return ports{}, err
		}
	}
	return p, nil
}

func loopbackAddress(port int) string {
	return net.JoinHostPort(loopback, strconv.Itoa(port))
}
