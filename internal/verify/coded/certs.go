package coded

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

const (
	// maxCertificates bounds the certificates of one PEM document.
	maxCertificates = 8
	// minRSABits is the least RSA modulus accepted in a certificate or key.
	minRSABits = 2048
	// maxRSABits bounds the work one verification can cost.
	maxRSABits = 8192
	// certificateFresh is how long a fetched certificate is used before it is read again.
	certificateFresh = 24 * time.Hour
)

// errDocument is wrapped by every error about the content of a fetched document.
var errDocument = errors.New("the document is not usable")

// errNotCurrent says that a fetched certificate is not valid now.
var errNotCurrent = fmt.Errorf("%w: the certificate is not valid now", errDocument)

// parseCertificates reads the certificates of a PEM document, the signing one first. Other PEM
// blocks and more than 8 certificates are refused.
func parseCertificates(document []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for rest := document; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" || len(chain) == maxCertificates {
			return nil, fmt.Errorf("%w: expected at most %d CERTIFICATE blocks", errDocument, maxCertificates)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDocument, err)
		}
		chain = append(chain, certificate)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%w: no PEM certificate found", errDocument)
	}
	if _, err := rsaKey(chain[0]); err != nil {
		return nil, err
	}
	return chain, nil
}

// rsaKey returns the certificate's RSA key of an acceptable size.
func rsaKey(certificate *x509.Certificate) (*rsa.PublicKey, error) {
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: the certificate holds no RSA key", errDocument)
	}
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("%w: an RSA key of %d bits is refused", errDocument, bits)
	}
	return key, nil
}

// httpsURL parses a URL that must be https with nothing but a host, a path and maybe a query: no
// user, no port, no fragment. The host is returned as it was written.
func httpsURL(text string) (*url.URL, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the URL cannot be parsed: %w", err)
	}
	if parsed.Scheme != "https" || parsed.User != nil || parsed.Opaque != "" || parsed.Fragment != "" ||
		parsed.Port() != "" || parsed.Host != parsed.Hostname() || parsed.Host == "" {
		return nil, errors.New("the URL is not plain https")
	}
	return parsed, nil
}

// certificateSource finds the certificate that signed a message: the pinned one, or the one at a
// trusted URL.
type certificateSource struct {
	cache *remoteCache[*x509.Certificate]
	// judge refuses a chain that may not sign; fetched is false for a pinned certificate.
	judge func(url string, chain []*x509.Certificate, fetched bool, now time.Time) error
}

// newCertificateSource returns a source that accepts, and keeps, only chains that judge accepts.
func newCertificateSource(judge func(string, []*x509.Certificate, bool, time.Time) error) *certificateSource {
	parse := func(url string, document []byte, now time.Time) (remoteDoc[*x509.Certificate], error) {
		chain, err := parseCertificates(document)
		if err != nil {
			return remoteDoc[*x509.Certificate]{}, err
		}
		if !currentAt(chain[0], now) {
			return remoteDoc[*x509.Certificate]{}, errNotCurrent
		}
		if err := judge(url, chain, true, now); err != nil {
			return remoteDoc[*x509.Certificate]{}, fmt.Errorf("%w: %w", errDocument, err)
		}
		end := chain[0].NotAfter
		return remoteDoc[*x509.Certificate]{
			value: chain[0], fetched: now, fresh: earlierTime(now.Add(certificateFresh), end), dead: end,
		}, nil
	}
	return &certificateSource{cache: newRemoteCache(parse), judge: judge}
}

// key returns the RSA key of the certificate for url, which the caller has found trustworthy, or
// a *Failure.
func (s *certificateSource) key(url string, o verify.Options) (*rsa.PublicKey, error) {
	certificate, err := s.certificate(url, o)
	switch {
	case err == nil && !currentAt(certificate, o.Instant()), errors.Is(err, errNotCurrent):
		return nil, verify.Refuse(verify.Expired, "the signing certificate is not valid at this time")
	case err != nil && definiteFetch(err):
		return nil, verify.Refuse(verify.UnknownKey, "the signing certificate is not usable")
	case err != nil:
		return nil, verify.Refuse(verify.Unavailable, "the signing certificate could not be fetched")
	}
	return rsaKey(certificate)
}

// certificate returns the pinned certificate or the one at url.
func (s *certificateSource) certificate(url string, o verify.Options) (*x509.Certificate, error) {
	if len(o.Certificate) == 0 {
		doc, err := s.cache.get(o, url, time.Time{})
		return doc.value, err
	}
	chain, err := parseCertificates(o.Certificate)
	if err != nil {
		return nil, err
	}
	if err := s.judge(url, chain, false, o.Instant()); err != nil {
		return nil, fmt.Errorf("%w: %w", errDocument, err)
	}
	return chain[0], nil
}

// currentAt reports whether the certificate is valid at the given time.
func currentAt(certificate *x509.Certificate, now time.Time) bool {
	return !now.Before(certificate.NotBefore) && !now.After(certificate.NotAfter)
}

// earlierTime returns the earlier of two times.
func earlierTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
