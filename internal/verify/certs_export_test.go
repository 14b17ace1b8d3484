package verify

import "crypto/x509"

// What the tests of the coded verifiers reach into.

// NewTestCoded makes a coded verifier by its algorithm, without Compile.
func NewTestCoded(p Profile) (Coded, error) {
	switch p.Algorithm {
	case "twilio":
		return newTwilio(p)
	case "mandrill":
		return newMandrill(p)
	case "adyen":
		return newAdyen(p)
	case "sns":
		return newSNS(p)
	case "paypal":
		return newPayPal(p)
	default:
		return newJWT(p)
	}
}

// NewTestPayPal makes a PayPal verifier with roots of its own.
func NewTestPayPal(roots *x509.CertPool) Coded {
	coded, _ := newPayPalRoots(Profile{}, roots)
	return coded
}

// CacheSizes returns how many certificates and failures an SNS verifier remembers.
func CacheSizes(c Coded) (docs, failures int) {
	cache := c.(*sns).certificates.cache
	cache.mu.Lock()
	defer cache.mu.Unlock()
	return len(cache.docs), len(cache.failures)
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
	FetchBurst     = fetchBurst
	RefetchAfter   = refetchAfter
	JWKSFresh      = jwksFresh
	JWKSStale      = jwksStale
)
