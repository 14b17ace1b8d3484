package destination_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/certtest"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/secret"
)

// fileOf writes a file and names it as the configuration does.
func fileOf(t *testing.T, dir, name string, content []byte) secret.File {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return secret.File{Path: path, Content: secret.New(string(content))}
}

// guarded is a server that asks for a certificate of an authority, and says whose it saw.
func guarded(t *testing.T, a *certtest.Authority, names chan<- string) *httptest.Server {
	t.Helper()
	cert, key := a.Issue(t, "crm.internal", 2)
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(t, err)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names <- r.TLS.PeerCertificates[0].Subject.CommonName
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusNoContent)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: a.Pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func TestACertificateIsShownAndRenewedWithoutAReload(t *testing.T) {
	a, dir, names := certtest.New(t), t.TempDir(), make(chan string, 4)
	srv := guarded(t, a, names)
	cert, key := a.Issue(t, "first", 2)
	shown := &destination.ClientTLS{
		CertFile: fileOf(t, dir, "cert.pem", cert), KeyFile: fileOf(t, dir, "key.pem", key), CAFile: fileOf(t, dir, "ca.PEM", a.PEM),
		ServerName: "crm.internal",
	}
	d := asking(t, srv.URL, func(h *destination.HTTP) { h.TLS = shown })
	require.Equal(t, "certificate", d.Spec.HTTP.Auth())
	require.NoError(t, d.Deliver(t.Context(), sample, nil, 1))
	require.Equal(t, "first", <-names)
	cert, key = a.Issue(t, "second", 3)
	fileOf(t, dir, "cert.pem", cert)
	require.NoError(t, d.Deliver(t.Context(), sample, nil, 1), "half renewed")
	require.Equal(t, "first", <-names)
	fileOf(t, dir, "key.pem", key)
	require.NoError(t, d.Deliver(t.Context(), sample, nil, 1))
	require.Equal(t, "second", <-names)

	for name, without := range map[string]*destination.ClientTLS{
		"no certificate": {CAFile: shown.CAFile, ServerName: "crm.internal"},
		"another name":   {CAFile: shown.CAFile, CertFile: shown.CertFile, KeyFile: shown.KeyFile},
		"another authority": {
			CAFile: fileOf(t, dir, "other.pem", certtest.New(t).PEM), ServerName: "crm.internal", CertFile: shown.CertFile, KeyFile: shown.KeyFile,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := refusedBy(t, asking(t, srv.URL, func(h *destination.HTTP) { h.TLS = without }))
			require.False(t, e.Permanent, "a certificate is mended without a reload of the event")
			require.Contains(t, e.Error(), "certificate")
		})
	}
}

// proxy is a server that connects or passes on for whoever knows its password.
func proxy(t *testing.T, asked chan<- string) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.RequestURI
		if user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth(); user != "u" || password != "proxy-geheim" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if r.Method != http.MethodConnect {
			r.RequestURI = ""
			r.Header.Del("Proxy-Authorization") // It is for this hop.
			res, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			_ = res.Body.Close()
			w.WriteHeader(res.StatusCode)
			return
		}
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			go func() { _, _ = io.Copy(to, c); _ = to.Close() }()
			go func() { _, _ = io.Copy(c, to); _ = c.Close() }()
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestDeliveriesGoThroughAProxy(t *testing.T) {
	asked, names := make(chan string, 4), make(chan string, 4)
	through := proxy(t, asked)
	plain, requests := answer(t, ok)
	a, dir := certtest.New(t), t.TempDir()
	secure := guarded(t, a, names)
	cert, key := a.Issue(t, "me", 2)
	with := func(password string) func(*destination.HTTP) {
		return func(h *destination.HTTP) {
			h.Proxy = secret.New("http://u:" + password + "@" + through.Listener.Addr().String())
			h.TLS = &destination.ClientTLS{
				CertFile: fileOf(t, dir, "cert.pem", cert), KeyFile: fileOf(t, dir, "key.pem", key), CAFile: fileOf(t, dir, "ca.PEM", a.PEM),
				ServerName: "crm.internal",
			}
		}
	}
	require.NoError(t, asking(t, secure.URL, with("proxy-geheim")).Deliver(t.Context(), sample, nil, 1))
	require.Equal(t, "CONNECT "+secure.Listener.Addr().String(), <-asked)
	require.Equal(t, "me", <-names)
	require.NoError(t, asking(t, plain.URL, with("proxy-geheim")).Deliver(t.Context(), sample, nil, 1))
	require.Equal(t, "POST "+plain.URL+"/", <-asked)
	require.Empty(t, (<-requests).header.Get("Proxy-Authorization"), "the password is the proxy's alone")

	e := refusedBy(t, asking(t, secure.URL, with("wrong-geheim")))
	require.False(t, e.Permanent)
	require.Contains(t, e.Error(), "the proxy http://"+through.Listener.Addr().String()+" answered 407 Proxy Authentication Required")
	require.NotContains(t, e.Error(), "geheim")
}

func TestAProxyInsideTheNetworkIsRefused(t *testing.T) {
	asked := make(chan string, 1)
	spec := &destination.Spec{Name: "crm", HTTP: &destination.HTTP{
		URL: secret.New("https://crm.example.com"), Proxy: secret.New(proxy(t, asked).URL),
	}}
	d, err := destination.New(spec, destination.Deps{})
	require.NoError(t, err)
	e := refusedBy(t, &subject{d})
	require.True(t, e.Permanent)
	require.Contains(t, e.Error(), "is loopback and refused")
	require.Empty(t, asked)
}

// TestDeliveriesGoThroughSOCKS speaks as much of RFC 1928 as a client needs.
func TestDeliveriesGoThroughSOCKS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	asked := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		in := bufio.NewReader(c)
		read := func(n int) []byte {
			b := make([]byte, n)
			_, _ = io.ReadFull(in, b)
			return b
		}
		read(int(read(2)[1]))
		_, _ = c.Write([]byte{5, 0})
		host := string(read(int(read(5)[4])))
		read(2)
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		if req, err := http.ReadRequest(in); err == nil {
			asked <- host + req.URL.Path
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		}
	}()
	d := asking(t, "http://crm.test/hooks", func(h *destination.HTTP) { h.Proxy = secret.New("socks5://" + l.Addr().String()) })
	require.NoError(t, d.Deliver(t.Context(), sample, nil, 1))
	require.Equal(t, "crm.test/hooks", <-asked)
}
