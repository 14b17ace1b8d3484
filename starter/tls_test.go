package starter_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/starter"
)

// authority signs certificates for tests.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: rand.Text()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.pool.AddCert(a.cert)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// issue makes a certificate for loopback, of a serial number.
func (a *authority) issue(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &private.PublicKey, a.key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// files writes the listener's files.
func (a *authority) files(t *testing.T, dir string, serial int64, clients []byte) *config.TLS {
	t.Helper()
	f := &config.TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	cert, key := a.issue(t, serial)
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

// transport trusts the authority and shows the certificates, if any.
func (a *authority) transport(highest uint16, own ...tls.Certificate) *http.Transport {
	return &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: a.pool, Certificates: own, MinVersion: tls.VersionTLS10, MaxVersion: highest,
	}}
}

func TestOwnTLS(t *testing.T) {
	ours := newAuthority(t)
	w := openTLSDoor(t, ours.files(t, t.TempDir(), 1, nil), "sources:\n"+source("a", "require_https: true"))
	url := "https://" + w.addr + "/webhooks/a"
	require.Equal(t, http.StatusOK, send(t, ours.transport(0), url, "{}", token()...).status, "it counts as https")

	for name, version := range map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11} {
		t.Run("TLS "+name+" is refused", func(t *testing.T) {
			_, err := tls.Dial("tcp", w.addr, ours.transport(version).TLSClientConfig)
			require.Error(t, err)
		})
	}
	t.Run("a client that does not shake hands is cut off", func(t *testing.T) {
		slow := openTLSDoor(t, ours.files(t, t.TempDir(), 1, nil), "timeouts: {header: 200ms, read: 400ms}\nsources:\n"+source("a"))
		c, err := net.Dial("tcp", slow.addr)
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		_, err = io.ReadAll(c)
		require.NoError(t, err)
	})
}

func TestCertificateIsReadAgain(t *testing.T) {
	ours, dir := newAuthority(t), t.TempDir()
	w := openTLSDoor(t, ours.files(t, dir, 1, nil), "sources:\n"+source("a"))
	serial := func() int64 {
		c, err := tls.Dial("tcp", w.addr, ours.transport(0).TLSClientConfig)
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

	ours.files(t, dir, 2, nil)
	require.Eventually(t, func() bool { return serial() == 2 }, time.Minute, 20*time.Millisecond)
}

func TestClientCertificates(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	w := openTLSDoor(t, ours.files(t, t.TempDir(), 1, theirs.pem), "sources:\n"+source("a"))
	url := "https://" + w.addr + "/webhooks/a"
	good, err := tls.X509KeyPair(theirs.issue(t, 7))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, send(t, ours.transport(0, good), url, "{}", token()...).status)

	other, err := tls.X509KeyPair(ours.issue(t, 7))
	require.NoError(t, err)
	for name, own := range map[string][]tls.Certificate{"none": nil, "one of another authority": {other}} {
		t.Run(name+" is refused", func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
			require.NoError(t, err)
			res, err := ours.transport(0, own...).RoundTrip(req)
			if err == nil {
				_ = res.Body.Close()
			}
			require.Error(t, err)
		})
	}
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	ours := newAuthority(t)
	for _, test := range []struct {
		name  string
		spoil func(*config.TLS)
	}{
		{"no certificate", func(f *config.TLS) { f.CertFile += "x" }},
		{"the key is another's", func(f *config.TLS) { f.KeyFile = ours.files(t, t.TempDir(), 1, nil).KeyFile }},
		{"authorities that are none", func(f *config.TLS) { f.ClientCA = f.KeyFile }},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := ours.files(t, t.TempDir(), 1, nil)
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
