package starter

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
)

// bounded is a listener that holds at most so many connections. One more is
// closed at once: to let it wait would let those who hold on to connections keep
// all others out.
type bounded struct {
	net.Listener
	most int64
	held atomic.Int64
}

// connectionsPerRequest is how many connections may be open for each request
// that may be in hand: most of them wait for their next request.
const connectionsPerRequest = 4

// Accept waits for a connection for which there is room.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // The server looks at what it is.
		}
		if b.held.Add(1) > b.most {
			b.held.Add(-1)
			_ = hangUp(c)
			continue
		}
		leave := sync.OnceFunc(func() { b.held.Add(-1) })
		if t, ok := c.(*tls.Conn); ok {
			return &heldTLS{t, leave}, nil
		}
		return &held{c, leave}, nil
	}
}

// hangUp closes a connection; one by TLS without a farewell, which would wait for
// a handshake.
func hangUp(c net.Conn) error {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.Close() //nolint:wrapcheck // Nobody reads it.
}

// held is a connection that is counted until it is closed.
type held struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (h *held) Close() error {
	defer h.leave()
	return h.Conn.Close() //nolint:wrapcheck // The server's own, seen through.
}

// heldTLS is held for TLS: the server knows such a connection by its methods.
type heldTLS struct {
	*tls.Conn
	leave func()
}

// Close closes the connection.
func (h *heldTLS) Close() error {
	defer h.leave()
	return h.Conn.Close() //nolint:wrapcheck // The server's own, seen through.
}
