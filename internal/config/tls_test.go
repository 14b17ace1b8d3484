package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/certtest"
	"github.com/grapnel/grapnel/internal/config"
)

func TestTLSFilesStandBesideTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	certtest.WriteSelfSigned(t, dir, "cert", "localhost")
	certtest.WriteSelfSigned(t, filepath.Join(dir, makeDir(t, dir, "other")), "cert", "localhost")
	name := filepath.Join(dir, "grapnel.yaml")
	load := func(tls string) (*config.Config, error) {
		return config.Parse(name, []byte("tls: {"+tls+"}\n"+zoom("")), environment(nil))
	}
	t.Run("a pair and an authority", func(t *testing.T) {
		c, err := load("cert_file: cert.pem, key_file: cert.key, client_ca: cert.pem")
		require.NoError(t, err)
		require.Equal(t, config.TLS{
			CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "cert.key"), ClientCA: filepath.Join(dir, "cert.pem"),
		}, *c.TLS)
	})
	for _, tc := range []struct{ name, tls, says string }{
		{"the key of another certificate", "cert_file: cert.pem, key_file: other/cert.key", "tls.cert_file: the certificate cannot be used"},
		{"an authority that is none", "cert_file: cert.pem, key_file: cert.key, client_ca: cert.key", "tls.client_ca: the file holds no certificate"},
		{"an authority that is not there", "cert_file: cert.pem, key_file: cert.key, client_ca: no.pem", "tls.client_ca: the file cannot be read"},
		{"a device instead of a file", "cert_file: /dev/zero, key_file: cert.key", "not a regular file"},
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
