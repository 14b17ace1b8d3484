package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/config"
)

// certificate writes a certificate and its key into a directory.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
}

func TestTLSFilesStandBesideTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir)
	certificate(t, filepath.Join(dir, makeDir(t, dir, "other")))
	name := filepath.Join(dir, "grapnel.yaml")
	load := func(tls string) (*config.Config, error) {
		return config.Parse(name, []byte("tls: {"+tls+"}\n"+zoom("")), environment(nil))
	}
	t.Run("a pair and an authority", func(t *testing.T) {
		c, err := load("cert_file: cert.pem, key_file: key.pem, client_ca: cert.pem")
		require.NoError(t, err)
		require.Equal(t, config.TLS{
			CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), ClientCA: filepath.Join(dir, "cert.pem"),
		}, *c.TLS)
	})
	for _, tc := range []struct{ name, tls, says string }{
		{"the key of another certificate", "cert_file: cert.pem, key_file: other/key.pem", "tls.cert_file: the certificate cannot be used"},
		{"an authority that is none", "cert_file: cert.pem, key_file: key.pem, client_ca: key.pem", "tls.client_ca: the file holds no certificate"},
		{"an authority that is not there", "cert_file: cert.pem, key_file: key.pem, client_ca: no.pem", "tls.client_ca: the file cannot be read"},
		{"a device instead of a file", "cert_file: /dev/zero, key_file: key.pem", "not a regular file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(tc.tls)
			require.ErrorContains(t, err, tc.says)
		})
	}
}

func makeDir(t *testing.T, parent, name string) string {
	t.Helper()
	require.NoError(t, os.Mkdir(filepath.Join(parent, name), 0o700))
	return name
}
