package starter_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/certtest"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/starter"
)

// filesOf writes the listener's files.
func filesOf(t *testing.T, a *certtest.Authority, dir string, serial int64, clients []byte) *config.TLS {
	t.Helper()
	f := &config.TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	cert, key := a.Issue(t, "localhost", serial)
	require.NoError(t, os.WriteFile(f.CertFile, cert, 0o600))
	require.NoError(t, os.WriteFile(f.KeyFile, key, 0o600))
	if clients != nil {
		f.ClientCA = filepath.Join(dir, "ca.pem")
		require.NoError(t, os.WriteFile(f.ClientCA, clients, 0o600))
	}
	return f
}

// openTLSDoor serves by the files.
func openTLSDoor(t *testing.T, files *config.TLS, yaml string) *doorway {
	t.Helper()
	return openDoor(t, yaml, func(o *starter.Options) {
		c := *o.Config
		c.TLS = files
		o.Config = &c
	})
}

// transportOf trusts the authority and shows the certificates, if any.
func transportOf(a *certtest.Authority, highest uint16, own ...tls.Certificate) *http.Transport {
	return &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: a.Pool, Certificates: own, MinVersion: tls.VersionTLS10, MaxVersion: highest,
	}}
}

func TestOwnTLS(t *testing.T) {
	ours := certtest.New(t)
	w := openTLSDoor(t, filesOf(t, ours, t.TempDir(), 1, nil), "sources:\n"+source("a", "require_https: true"))
	url := "https://" + w.addr + "/webhooks/a"
	require.Equal(t, http.StatusOK, send(t, transportOf(ours, 0), url, "{}", token()...).status, "it counts as https")

	for name, version := range map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11} {
		t.Run("TLS "+name+" is refused", func(t *testing.T) {
			_, err := tls.Dial("tcp", w.addr, transportOf(ours, version).TLSClientConfig)
			require.Error(t, err)
		})
	}
	t.Run("a client that does not shake hands is cut off", func(t *testing.T) {
		slow := openTLSDoor(t, filesOf(t, ours, t.TempDir(), 1, nil), "timeouts: {header: 200ms, read: 400ms}\nsources:\n"+source("a"))
		c, err := net.Dial("tcp", slow.addr)
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		_, err = io.ReadAll(c)
		require.NoError(t, err)
	})
}

func TestCertificateIsReadAgain(t *testing.T) {
	ours, dir := certtest.New(t), t.TempDir()
	w := openTLSDoor(t, filesOf(t, ours, dir, 1, nil), "sources:\n"+source("a"))
	serial := func() int64 {
		c, err := tls.Dial("tcp", w.addr, transportOf(ours, 0).TLSClientConfig)
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	require.EqualValues(t, 1, serial())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("half of"), 0o600))
	require.Eventually(t, func() bool {
		require.EqualValues(t, 1, serial(), "the good one stays")
		return w.logs.FilterMessageSnippet("new certificate can't be used").Len() == 1
	}, time.Minute, 20*time.Millisecond)

	filesOf(t, ours, dir, 2, nil)
	require.Eventually(t, func() bool { return serial() == 2 }, time.Minute, 20*time.Millisecond)
}

func TestClientCertificates(t *testing.T) {
	ours, theirs := certtest.New(t), certtest.New(t)
	w := openTLSDoor(t, filesOf(t, ours, t.TempDir(), 1, theirs.PEM), "sources:\n"+source("a"))
	url := "https://" + w.addr + "/webhooks/a"
	good, err := tls.X509KeyPair(theirs.Issue(t, "localhost", 7))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, send(t, transportOf(ours, 0, good), url, "{}", token()...).status)

	other, err := tls.X509KeyPair(ours.Issue(t, "localhost", 7))
	require.NoError(t, err)
	for name, own := range map[string][]tls.Certificate{"none": nil, "one of another authority": {other}} {
		t.Run(name+" is refused", func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
			require.NoError(t, err)
			res, err := transportOf(ours, 0, own...).RoundTrip(req)
			if err == nil {
				_ = res.Body.Close()
			}
			require.Error(t, err)
		})
	}
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	ours := certtest.New(t)
	for _, test := range []struct {
		name  string
		spoil func(*config.TLS)
	}{
		{"no certificate", func(f *config.TLS) { f.CertFile += "x" }},
		{"the key is another's", func(f *config.TLS) { f.KeyFile = filesOf(t, ours, t.TempDir(), 1, nil).KeyFile }},
		{"authorities that are none", func(f *config.TLS) { f.ClientCA = f.KeyFile }},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := filesOf(t, ours, t.TempDir(), 1, nil)
			test.spoil(files)
			_, err := starter.Listen(t.Context(), "127.0.0.1:0", files, zap.NewNop())
			require.Error(t, err)
		})
	}
	t.Run("the port is taken", func(t *testing.T) {
		l, err := starter.Listen(t.Context(), "127.0.0.1:0", nil, zap.NewNop())
		require.NoError(t, err)
		defer func() { _ = l.Close() }()
		_, err = starter.Listen(t.Context(), l.Addr().String(), nil, zap.NewNop())
		require.ErrorContains(t, err, "GRAPNEL_LISTEN")
	})
}
