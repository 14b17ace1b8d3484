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
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
)

// Listen listens on host:port, by TLS where files for it are given. The files
// are read again when they change; what can't be used leaves the old ones in
// force. Connections go on under the certificate they were made with.
func Listen(ctx context.Context, addr string, files *config.TLS, log *zap.Logger) (net.Listener, error) {
	var identity *identity
	if files != nil {
		identity = newIdentity(*files, log)
		if _, err := identity.config(nil); err != nil {
			return nil, err
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks, see GRAPNEL_LISTEN: %w", err)
	}
	if identity != nil {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: identity.config})
	}
	return l, nil
}

// lookEvery is how often at most the files are looked at.
const lookEvery = time.Second

// identity is what the listener shows and asks for, as its files say now.
type identity struct {
	files config.TLS
	log   *zap.Logger

	mu      sync.Mutex
	looked  time.Time
	read    [3][]byte // what is in force: certificate, key, authorities
	failing bool
	current *tls.Config
}

func newIdentity(files config.TLS, log *zap.Logger) *identity {
	return &identity{files: files, log: log}
}

// config gives the configuration of a connection.
func (i *identity) config(*tls.ClientHelloInfo) (*tls.Config, error) {
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

// look takes over the files when they have changed. They are small, and their
// times do not tell when a link was turned to another, so they are read and
// compared.
func (i *identity) look() error {
	read, err := i.readFiles()
	if err != nil || i.current != nil && same(read, i.read) {
		return err
	}
	c, err := configOf(read)
	if err != nil {
		return err
	}
	if i.current != nil {
		i.log.Info("the certificate is changed", zap.String("file", i.files.CertFile))
	}
	i.current, i.read = c, read
	return nil
}

func same(a, b [3][]byte) bool {
	return bytes.Equal(a[0], b[0]) && bytes.Equal(a[1], b[1]) && bytes.Equal(a[2], b[2])
}

func (i *identity) readFiles() (read [3][]byte, err error) {
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

func configOf(read [3][]byte) (*tls.Config, error) {
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
