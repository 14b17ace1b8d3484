package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/program"
)

// doorAt is the address of a source's door at a receiver: that of --url, which may
// lack its scheme or be the door's own, else the usual one.
func doorAt(given, usual, source string) (string, error) {
	door := "/webhooks/" + source
	if given == "" {
		return usual + door, nil
	}
	base := given
	if !strings.Contains(base, "://") {
		scheme, _, _ := strings.Cut(usual, "://")
		base = scheme + "://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return "", &usageError{fmt.Errorf("--url %s: write the receiver's address as http://HOST:PORT", given)}
	}
	base = strings.TrimSuffix(base, "/")
	return strings.TrimSuffix(base, door) + door, nil
}

// client makes what posts samples. It follows no redirect, as senders do not. It
// trusts a receiver by the certificates of --ca, else by the system's authorities
// and the certificate that the configuration names as the receiver's own.
func (f sendFlags) client(own *config.TLS, to string) (*http.Client, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if (f.cert == "") != (f.key == "") {
		return nil, &usageError{errors.New("--cert and --key go together: a certificate and its key")}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, &usageError{fmt.Errorf("--cert and --key: %w", err)}
		}
		trust.Certificates = []tls.Certificate{pair}
	}
	file, named := f.ca, f.ca != ""
	if !named && own != nil {
		file = own.CertFile
	}
	if file != "" {
		if err := trustFile(trust, file, named, to); err != nil {
			return nil, &usageError{err}
		}
	}
	return &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// trustFile takes the certificates of a file as they are, whatever names stand in
// them: a receiver's own is for its public name, and we may dial this machine. Any
// other certificate is judged as usual, by the file's when only is set, else by the
// system's authorities.
func trustFile(trust *tls.Config, file string, only bool, to string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the certificates to trust: %w", err)
	}
	known, pool := certificatesOf(text), x509.NewCertPool()
	if len(known) == 0 {
		return fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	for _, c := range known {
		pool.AddCert(c)
	}
	options := x509.VerifyOptions{}
	if only {
		options.Roots = pool
	}
	if u, err := url.Parse(to); err == nil {
		options.DNSName = u.Hostname()
	}
	trust.InsecureSkipVerify = true // VerifyConnection judges instead.
	trust.VerifyConnection = func(s tls.ConnectionState) error {
		shown := s.PeerCertificates[0]
		if slices.ContainsFunc(known, shown.Equal) {
			return nil
		}
		options := options
		options.Intermediates = x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			options.Intermediates.AddCert(c)
		}
		if _, err := shown.Verify(options); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
		}
		return nil
	}
	return nil
}

// certificatesOf reads the certificates of a PEM text, and leaves out the rest.
func certificatesOf(text []byte) (all []*x509.Certificate) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			all = append(all, c)
		}
	}
	return all
}

// explainUnreached says what to do when the receiver at an address gave no answer.
func explainUnreached(err error, to string) error {
	var bad *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.As(err, &bad):
		return fmt.Errorf("send: %w; name the certificate that the receiver is to be trusted by with --ca", err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("send: %w; the receiver serves no TLS, so give --url http://HOST:PORT", err)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("send: %w; is '%s' running?", err, program.Command("up"))
	case strings.HasPrefix(to, "https:"):
		// An alert, or only an end, where the alert comes too late.
		return fmt.Errorf("send: %w; a receiver with tls.client_ca wants a certificate of its authorities, see --cert and --key", err)
	default:
		return fmt.Errorf("send: %w; the receiver gave no answer: if it serves TLS, give --url https://HOST:PORT", err)
	}
}
