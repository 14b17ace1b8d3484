package coded

import (
	"crypto/x509"

	"github.com/grapnel/grapnel/internal/verify"
)

// What the tests of the coded verifiers reach into.

// NewTestCoded makes a coded verifier by its algorithm, without Compile.
func NewTestCoded(p verify.Profile) (verify.Coded, error) { return Schemes()[p.Algorithm].New(p) }

// NewTestPayPal makes a PayPal verifier with roots of its own.
func NewTestPayPal(roots *x509.CertPool) verify.Coded {
	checker, _ := newPayPalRoots(verify.Profile{}, roots)
	return checker
}

// CacheSizes returns how many certificates and failures an SNS verifier remembers.
func CacheSizes(c verify.Coded) (docs, failures int) {
	cache := c.(*sns).certificates.cache
	cache.mu.Lock()
	defer cache.mu.Unlock()
	return cache.docs.Len(), cache.failures.Len()
}

// Unexported things under test.
var (
	SNSCertificateURL = snsCertificateURL
	StrictObject      = strictObject
	PortVariants      = portVariants
)

// The bounds under test.
const (
	MaxRemoteBytes = maxRemoteBytes
	MaxFailures    = maxFailures
	FetchBurst     = clientBurst
	RefetchAfter   = refetchAfter
	JWKSFresh      = jwksFresh
	JWKSStale      = jwksStale
)
