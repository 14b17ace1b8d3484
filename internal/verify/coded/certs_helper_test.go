package coded_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

// codedNow is the time of all requests of these tests.
var codedNow = time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)

// codedRequest makes a POST request; headers are names and values in turn.
func codedRequest(url, body string, headers ...string) *verify.Request {
	header := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		header.Add(headers[i], headers[i+1])
	}
	return &verify.Request{Method: http.MethodPost, URL: url, Header: verify.HTTPHeader(header), Body: []byte(body)}
}

// requireReason asserts why a request was refused; "" means that it was not.
func requireReason(t *testing.T, want verify.Reason, err error) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	var failure *verify.Failure
	require.ErrorAs(t, err, &failure)
	require.Equal(t, want, failure.Reason, failure.Detail)
}

// secretsOf makes secrets of texts.
func secretsOf(values ...string) []verify.Secret {
	secrets := make([]verify.Secret, 0, len(values))
	for _, value := range values {
		secrets = append(secrets, verify.Secret{Value: value})
	}
	return secrets
}

// noFetch fails the test when anything is fetched.
func noFetch(t *testing.T) verify.Fetch {
	return func(_ context.Context, url string) ([]byte, error) {
		t.Errorf("nothing may be fetched, but %s was", url)
		return nil, errors.New("refused by the test")
	}
}

// signer is a key with a certificate and the certificate of the root that issued it.
type signer struct {
	key   *rsa.PrivateKey
	pem   []byte
	roots *x509.CertPool
}

// newSigner makes a certificate for a name, valid from an hour before codedNow for the given time.
func newSigner(t *testing.T, name string, life time.Duration) signer {
	t.Helper()
	key := newRSA(t, 2048)
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: codedNow.Add(-time.Hour), NotAfter: codedNow.Add(1000 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: codedNow.Add(-time.Hour), NotAfter: codedNow.Add(life),
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	require.NoError(t, err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, rootKey)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(rootDER)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return signer{key: key, roots: roots, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER})}
}

// newRSA makes an RSA key.
func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return key
}

// remote is a server on loopback that stands in for the hosts certificates and keys come from.
type remote struct {
	server *httptest.Server
	hits   atomic.Int64
	paths  chan string
}

// newRemote starts a TLS server that answers with handle.
func newRemote(t *testing.T, handle http.HandlerFunc) *remote {
	r := &remote{paths: make(chan string, 100)}
	r.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.hits.Add(1)
		r.paths <- req.Host + req.URL.RequestURI()
		handle(w, req)
	}))
	t.Cleanup(r.server.Close)
	return r
}

// fetch is HTTPFetch with a transport that leads every host to the server.
func (r *remote) fetch() verify.Fetch {
	transport := r.server.Client().Transport.(*http.Transport).Clone()
	address := r.server.Listener.Addr().String()
	var dialer net.Dialer
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}
	transport.TLSClientConfig.InsecureSkipVerify = true
	return coded.HTTPFetch(&http.Client{Transport: transport})
}

// options are the circumstances of a request that may fetch.
func (r *remote) options() verify.Options {
	return verify.Options{Context: context.Background(), Now: codedNow, Fetch: r.fetch()}
}

// serve answers with a document.
func serve(document []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document) }
}
