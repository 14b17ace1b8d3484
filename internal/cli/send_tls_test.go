package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/certtest"
)

// tlsOf is the line of a configuration with TLS; more are settings of it.
func tlsOf(more string) string { return "tls: {cert_file: own.pem, key_file: own.key" + more + "}\n" }

func TestSendSpeaksAsTheReceiverListens(t *testing.T) {
	dir := t.TempDir()
	certtest.WriteSelfSigned(t, dir, "own", "hooks.example.com")
	certtest.WriteSelfSigned(t, dir, "other", "other.example.com")
	in := func(name string) string { return filepath.Join(dir, name) }
	secure := receiveIn(t, dir, tlsOf("")+zoomOnly)
	closed := receiveIn(t, makeDir(t, dir), strings.ReplaceAll(tlsOf(", client_ca: ../other.pem"), "own.", "../own.")+zoomOnly)
	plain := receive(t, zoomOnly)
	for _, test := range []struct {
		name    string
		environ []string
		args    []string
		code    int
		says    string
	}{
		{"no TLS", plain.environ, nil, 0, "200"},
		{"TLS by the configuration, whose certificate is for another name", secure.environ, nil, 0, "200"},
		{"TLS by a name of this machine", secure.environ, []string{"--url", "https://localhost:" + port(secure.listen())}, 0, "200"},
		{"TLS by an address without a scheme", secure.environ, []string{"--url", secure.listen()}, 0, "200"},
		{"TLS of an unknown receiver", plain.environ, []string{"--url", "https://" + secure.listen()}, 1, "--ca"},
		{"TLS of a receiver whose certificate is given", plain.environ, []string{"--url", "https://" + secure.listen(), "--ca", in("own.pem")}, 0, "200"},
		{"the certificate of another is given", secure.environ, []string{"--ca", in("other.pem")}, 1, "--ca"},
		{"a certificate that is none", secure.environ, []string{"--ca", in("own.key")}, 2, "no certificate"},
		{"a certificate that is not there", secure.environ, []string{"--ca", in("nothing")}, 2, "no such file"},
		{"no TLS where there is", secure.environ, []string{"--url", "http://" + secure.listen()}, 1, "--url https://"},
		{"TLS where there is none", secure.environ, []string{"--url", "https://" + plain.listen()}, 1, "--url http://"},
		{"a receiver that asks for a certificate", closed.environ, nil, 1, "--cert and --key"},
		{"the certificate that is asked for", closed.environ, []string{"--cert", in("other.pem"), "--key", in("other.key")}, 0, "200"},
		{"another certificate", closed.environ, []string{"--cert", in("own.pem"), "--key", in("own.key")}, 1, "--cert and --key"},
		{"a certificate without its key", closed.environ, []string{"--cert", in("other.pem")}, 2, "go together"},
		{"a certificate with the key of another", closed.environ, []string{"--cert", in("other.pem"), "--key", in("own.key")}, 2, "does not match"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, test.environ, append([]string{"send", "zoom"}, test.args...)...)
			require.Equal(t, test.code, got.code, got.out+got.err)
			require.Contains(t, got.out+got.err, test.says)
		})
	}
}

func makeDir(t *testing.T, parent string) string {
	t.Helper()
	dir := filepath.Join(parent, "closed")
	require.NoError(t, os.Mkdir(dir, 0o700))
	return dir
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
