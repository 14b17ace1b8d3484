package destination

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/netguard"
	"github.com/grapnel/grapnel/internal/secret"
)

// ClientTLS is the client's certificate and the authorities that it trusts. The files are read
// again with the configuration, and the certificate with its key before every connection, so that
// a renewed certificate is used at once.
type ClientTLS struct {
	// CertFile is a PEM file of the client's certificate and those of its issuers.
	CertFile secret.File `yaml:"cert_file"`
	// KeyFile is a PEM file of the certificate's private key.
	KeyFile secret.File `yaml:"key_file"`
	// CAFile is a PEM file of the authorities that are trusted instead of the system's.
	CAFile secret.File `yaml:"ca_file"`
	// ServerName is the host name that the server's certificate must be for, where it is not the
	// one in the URL.
	ServerName string `yaml:"server_name"`
}

// check reports what is wrong; its paths begin with at. secure tells whether the address uses TLS
// at all.
func (c *ClientTLS) check(at string, secure bool, r Report) {
	if !secure {
		r.Fault(at, "has no effect on an address without https://; change the address or remove the setting")
		return
	}
	if r.Broken(at) {
		return
	}
	switch hasCert, hasKey := c.CertFile.Path != "", c.KeyFile.Path != ""; {
	case hasCert && !hasKey:
		r.Fault(at+".key_file", "is missing; a certificate needs its key, so give both cert_file and key_file")
	case hasKey && !hasCert:
		r.Fault(at+".cert_file", "is missing; give both cert_file and key_file")
	case hasCert:
		if _, err := tls.X509KeyPair([]byte(c.CertFile.Content.Reveal()), []byte(c.KeyFile.Content.Reveal())); err != nil {
			r.Fault(at+".cert_file", "the certificate cannot be used with its key: "+err.Error())
		}
	}
	if _, err := c.authorities(); err != nil {
		r.Fault(at+".ca_file", err.Error())
	}
}

// authorities gives the trusted authorities; nil stands for the system's.
func (c *ClientTLS) authorities() (*x509.CertPool, error) {
	if c.CAFile.Path == "" {
		return nil, nil //nolint:nilnil // As tls.Config has it.
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.CAFile.Content.Reveal())) {
		return nil, errors.New("the file holds no certificate in PEM form")
	}
	return pool, nil
}

// config gives the settings of Go's TLS client; nil without settings.
func (c *ClientTLS) config() (*tls.Config, error) {
	if c == nil {
		return nil, nil //nolint:nilnil // As http.Transport has it.
	}
	pool, err := c.authorities()
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	made := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: c.ServerName}
	if c.CertFile.Path == "" {
		return made, nil
	}
	read, err := tls.X509KeyPair([]byte(c.CertFile.Content.Reveal()), []byte(c.KeyFile.Content.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("cert_file: the certificate cannot be used with its key: %w", err)
	}
	made.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		// The certificate may have been renewed since. One that is only half written is not used.
		cert, errCert := os.ReadFile(c.CertFile.Path)
		key, errKey := os.ReadFile(c.KeyFile.Path)
		if errCert == nil && errKey == nil {
			if now, err := tls.X509KeyPair(cert, key); err == nil {
				return &now, nil
			}
		}
		return &read, nil
	}
	return made, nil
}

// checkProxy reports a proxy that can't be used. The proxy is what is dialled, so its address is
// judged as that of a destination is.
func (h *HTTP) checkProxy(s *Spec, r Report) {
	if !h.Proxy.IsSet() {
		return
	}
	u, err := parseProxy(h.Proxy.Reveal())
	if err != nil {
		r.Fault("http.proxy", "must be an address as http://proxy.example.com:3128, https:// or socks5://")
		return
	}
	checkHost(s, r, "http.proxy", u.Hostname())
}

// parseProxy reads the address of a proxy. The parser's own message would quote it.
func parseProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) || u.Hostname() == "" {
		return nil, errors.New("its proxy is not usable, write it as http://host:port, https:// or socks5://")
	}
	return u, nil
}

// dialRefusal says why the dial would refuse a host, as far as that can be known without looking
// the name up; nil when it would not.
func dialRefusal(s *Spec, host string) *netguard.RefusedError {
	g, _ := netguard.New(s.AllowPrivate) // An entry that it does not take is reported as a fault of allow_private.
	refused, _ := errors.AsType[*netguard.RefusedError](g.CheckLiteral(host))
	return refused
}

// Idle connections: one destination is one host, so these are per host as well.
const (
	maxIdle     = 64
	idleTime    = 90 * time.Second
	maxHeader   = 64 << 10
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
)

// dialFunc connects, as http.Transport.DialContext does.
type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// clientPath says how a client reaches the server: by which dialer and which proxy.
type clientPath struct {
	dial    dialFunc
	timeout time.Duration
	proxy   *url.URL // nil is none
}

// newClient makes a client. It uses no proxy of the environment, which would resolve host names
// itself, past the guard. It follows no redirects: credentials and bodies go where the
// configuration says and nowhere else.
func newClient(w clientPath, t *ClientTLS) (*http.Client, error) {
	config, err := t.config()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:            w.dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    w.timeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeader,
		// A small answer could unpack into a big one.
		DisableCompression: true,
		ForceAttemptHTTP2:  true,
		HTTP2:              &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	if w.proxy != nil {
		transport.Proxy = http.ProxyURL(w.proxy)
		transport.OnProxyConnectResponse = func(_ context.Context, u *url.URL, _ *http.Request, res *http.Response) error {
			if res.StatusCode == http.StatusOK {
				return nil
			}
			return fmt.Errorf("the proxy %s answered %s", shownURL(u), event.Clean(res.Status, quoted))
		}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
