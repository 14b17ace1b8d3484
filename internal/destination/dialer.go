package destination

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Dialer makes a function for http.Transport.DialContext that refuses the
// addresses that a destination is refused, but for what allow lists as
// Options.AllowPrivate does: hosts may be private or loopback by name, prefixes
// and addresses are allowed as they are. It gives up after timeout.
func Dialer(allow []string, timeout time.Duration) (func(ctx context.Context, network, addr string) (net.Conn, error), error) {
	g, err := newGuard(allow)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("address %q can't be dialled: %w", addr, err)
		}
		own := &guard{prefixes: g.prefixes, named: g.allowsName(host)}
		d := &net.Dialer{Timeout: timeout, KeepAlive: pingAfter, Control: own.control}
		return d.DialContext(ctx, network, addr)
	}, nil
}
