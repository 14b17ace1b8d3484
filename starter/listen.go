package starter

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
)

// connectionsPerRequest is how many connections may be open for each request that max_requests
// allows. Most connections only wait for their next request.
const connectionsPerRequest = 4

// boundedListener is a listener with a bound for the number of its connections.
type boundedListener struct {
	net.Listener
	conns *crowd
	// trusts tells whether a peer is a trusted proxy.
	trusts func(netip.Addr) bool
}

// Accept waits for a connection. The crowd of connections makes room for it. If it can't, because
// each of them has a verified request in hand, the new connection is closed.
func (b *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // The server looks at what it is.
		}
		g := newGuest(c, b.conns, b.trusts)
		if !b.conns.enter(g.held) {
			b.conns.leave(g.held)
			g.hangUp()
			continue
		}
		if t, ok := c.(*tls.Conn); ok {
			return &guestTLS{g, t}, nil
		}
		return g, nil
	}
}

// guest is a connection. It notes when something last came over it, and it makes sure that a body
// comes fast enough.
type guest struct {
	net.Conn
	conns   *crowd
	held    *holding
	proxied bool
	// active is when something last came over the connection, in nanoseconds since 1970.
	active  atomic.Int64
	vouched atomic.Bool
	// answered is set from the answer to a verified request until the next request begins to
	// come.
	answered atomic.Bool
	line     firstLine

	mu sync.Mutex
	// deadline is the deadline for reading that the server has set.
	deadline time.Time
	// began is when the body that is being read began, got how many of its bytes have come. began
	// is zero while no body is being read.
	began time.Time
	got   int64
	ended bool
}

const (
	// leastRate is how many bytes of a body must come each second, from its first byte on;
	// patience is how far it may fall behind that.
	leastRate = 1 << 10
	patience  = 3 * time.Second
)

func newGuest(c net.Conn, conns *crowd, trusts func(netip.Addr) bool) *guest {
	g := &guest{Conn: c, conns: conns}
	var peer netip.Addr
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		peer = plainAddr(a.AddrPort().Addr())
		g.proxied = trusts(peer)
	}
	g.held = &holding{client: networkOf(peer), conn: g}
	g.active.Store(time.Now().UnixNano())
	return g
}

// guestOf finds the guest of a request's connection; nil if it has none.
func guestOf(c net.Conn) *guest {
	switch c := c.(type) {
	case *guest:
		return c
	case *guestTLS:
		return c.guest
	}
	return nil
}

func (g *guest) rank() clientRank {
	switch {
	case g.vouched.Load():
		return vouched
	case g.proxied:
		return proxy
	}
	return stranger
}

// Read reads from the connection.
func (g *guest) Read(p []byte) (int, error) {
	if g.answered.CompareAndSwap(true, false) {
		g.active.Store(time.Now().UnixNano())
		g.conns.stay(g.held, false)
	}
	g.hurry()
	n, err := g.Conn.Read(p)
	if n > 0 {
		g.active.Store(time.Now().UnixNano())
		g.line.read(p[:n])
		g.mu.Lock()
		g.got += int64(n)
		g.mu.Unlock()
	}
	return n, err //nolint:wrapcheck // As the connection gives it.
}

// SetReadDeadline sets when reading fails at the latest. It never fails itself: fasthttp would
// panic, and on a closed connection reading fails anyway.
func (g *guest) SetReadDeadline(t time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.deadline = t
	g.apply()
	return nil
}

// SetWriteDeadline sets when writing fails. Like SetReadDeadline it never fails itself.
func (g *guest) SetWriteDeadline(t time.Time) error {
	_ = g.Conn.SetWriteDeadline(t)
	return nil
}

// SetDeadline sets when reading and writing fail.
func (g *guest) SetDeadline(t time.Time) error {
	return errors.Join(g.SetWriteDeadline(t), g.SetReadDeadline(t))
}

// body notes that a body is being read from now on, or no longer.
func (g *guest) body(reading bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.began, g.got = time.Time{}, 0
	if reading {
		g.began = time.Now()
	}
	g.apply()
}

// hurry moves the deadline of a body on, by the bytes that have come.
func (g *guest) hurry() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.began.IsZero() {
		g.apply()
	}
}

// apply sets the deadline of the connection. The caller holds the lock.
func (g *guest) apply() {
	d := g.deadline
	if !g.began.IsZero() {
		due := g.began.Add(patience + time.Duration(g.got)*time.Second/leastRate)
		if d.IsZero() || due.Before(d) {
			d = due
		}
	}
	if g.ended {
		d = time.Unix(1, 0)
	}
	_ = g.Conn.SetReadDeadline(d) // It fails on a closed connection, where reading fails too.
}

// stopReading makes reading fail from now on. An answer can still be written.
func (g *guest) stopReading() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	g.apply()
}

// hangUp closes the connection. It sends no TLS alert, which would wait for a handshake.
func (g *guest) hangUp() {
	c := g.Conn
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	_ = c.Close() // Nobody looks at it.
}

// Close closes the connection.
func (g *guest) Close() error {
	defer g.conns.leave(g.held)
	return g.Conn.Close() //nolint:wrapcheck // As the connection gives it.
}

// guestTLS is a guest over TLS. By these methods the server recognises such a connection.
type guestTLS struct {
	*guest
	tls *tls.Conn
}

// Handshake makes the TLS handshake.
func (g *guestTLS) Handshake() error {
	return g.tls.Handshake() //nolint:wrapcheck,noctx // As the connection gives it; its deadline bounds it.
}

// ConnectionState gives what the TLS handshake agreed on.
func (g *guestTLS) ConnectionState() tls.ConnectionState { return g.tls.ConnectionState() }

// firstLine reads the first line of a connection that is not empty: the line of its first
// request.
type firstLine struct {
	tail []byte
	// done is set when the line has ended, versioned if it ended with " HTTP/1.x" and CRLF.
	done, versioned bool
}

// versionBytes is the length of " HTTP/1.1\r\n".
const versionBytes = 11

func (l *firstLine) read(p []byte) {
	for _, c := range p {
		if l.done {
			return
		}
		l.tail = append(l.tail, c)
		if len(l.tail) > versionBytes {
			l.tail = append(l.tail[:0], l.tail[1:]...)
		}
		if c != '\n' {
			continue
		}
		if text := string(l.tail); text == "\n" || text == "\r\n" {
			l.tail = l.tail[:0]
			continue
		}
		l.done = true
		l.versioned = strings.HasPrefix(string(l.tail), " HTTP/1.") && strings.HasSuffix(string(l.tail), "\r\n")
		l.tail = nil
	}
}

// Listen listens on host:port, with TLS if files for it are given. The files are read again when
// they change. New files that can't be used are logged, and the old ones stay in force. A
// connection keeps the certificate with which it began.
func Listen(ctx context.Context, addr string, files *config.TLS, log *zap.Logger) (net.Listener, error) {
	var shown *certificates
	if files != nil {
		shown = newCertificates(*files, log)
		if _, err := shown.config(nil); err != nil {
			return nil, err
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks, see GRAPNEL_LISTEN: %w", err)
	}
	if shown != nil {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: shown.config})
	}
	return l, nil
}

// lookEvery is the least time between two readings of the files.
const lookEvery = time.Second

// certificates holds the certificate, key and client authorities of the listener, as the files
// have them now.
type certificates struct {
	files config.TLS
	log   *zap.Logger

	mu      sync.Mutex
	looked  time.Time
	read    [3][]byte // What is in force: certificate, key, authorities.
	failing bool
	current *tls.Config
}

func newCertificates(files config.TLS, log *zap.Logger) *certificates {
	return &certificates{files: files, log: log}
}

// config gives the TLS configuration of a new connection.
func (i *certificates) config(*tls.ClientHelloInfo) (*tls.Config, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.current != nil && time.Since(i.looked) < lookEvery {
		return i.current, nil
	}
	i.looked = time.Now()
	err := i.look()
	if i.current == nil {
		return nil, err
	}
	if err != nil && !i.failing {
		i.log.Error("the new certificate can't be used; the old one stays", zap.Error(err))
	}
	i.failing = err != nil
	return i.current, nil
}

// look takes the files' contents over if they have changed. It compares contents and not times,
// because a link that is changed to another file may show an older time.
func (i *certificates) look() error {
	read, err := i.readFiles()
	if err != nil || i.current != nil && equalFiles(read, i.read) {
		return err
	}
	c, err := tlsConfig(read)
	if err != nil {
		return err
	}
	if i.current != nil {
		i.log.Info("the certificate is changed", zap.String("file", i.files.CertFile))
	}
	i.current, i.read = c, read
	return nil
}

func equalFiles(a, b [3][]byte) bool {
	return bytes.Equal(a[0], b[0]) && bytes.Equal(a[1], b[1]) && bytes.Equal(a[2], b[2])
}

func (i *certificates) readFiles() (read [3][]byte, err error) {
	for n, name := range []string{i.files.CertFile, i.files.KeyFile, i.files.ClientCA} {
		if name == "" {
			continue
		}
		if read[n], err = os.ReadFile(name); err != nil {
			return read, fmt.Errorf("read the certificate: %w", err)
		}
	}
	return read, nil
}

func tlsConfig(read [3][]byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(read[0], read[1])
	if err != nil {
		return nil, fmt.Errorf("the certificate can't be used with its key: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	if read[2] != nil {
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(read[2]) {
			return nil, errors.New("the client authorities' file holds no certificate in PEM form")
		}
	}
	return c, nil
}
