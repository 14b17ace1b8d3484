package starter

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
)

// bounded is a listener that holds at most so many connections. One more is closed at
// once. If it waited instead, those who keep connections open would keep all others out.
type bounded struct {
	net.Listener
	most int64
	held atomic.Int64
}

// connectionsPerRequest is how many connections may be open for each request that may
// be in hand. Most connections wait for their next request.
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

// hangUp closes a connection. It sends no TLS alert, which would wait for a handshake.
func hangUp(c net.Conn) error {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.Close() //nolint:wrapcheck // Nobody looks at it.
}

// held is a connection that is counted until it is closed.
type held struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (h *held) Close() error {
	defer h.leave()
	return h.Conn.Close() //nolint:wrapcheck // As the connection gives it.
}

// heldTLS is held for TLS: fasthttp knows a TLS connection by its methods.
type heldTLS struct {
	*tls.Conn
	leave func()
}

// Close closes the connection.
func (h *heldTLS) Close() error {
	defer h.leave()
	return h.Conn.Close() //nolint:wrapcheck // As the connection gives it.
}

// Listen listens on host:port, by TLS where files for it are given. The files are read
// again when they change. Files that can't be used are logged, and the old ones stay in
// force. A connection keeps the certificate it was made with.
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

// lookEvery is how often the files are read at most.
const lookEvery = time.Second

// certificates are the certificate, key and client authorities of the listener, as the
// files say now.
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

// config gives the configuration of a connection.
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

// look uses the files' contents where they have changed. It compares contents, because a
// link that was changed to another file may show an older time.
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
