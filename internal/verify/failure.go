package verify

import (
	"context"
	"time"
)

// Reason says why a request was refused. The names must not change: metrics, logs and test
// vectors hold them.
type Reason string

// The reasons.
const (
	MissingSignature     Reason = "missing-signature"
	MissingTimestamp     Reason = "missing-timestamp"
	MissingID            Reason = "missing-id"
	MalformedID          Reason = "malformed-id"
	MalformedSignature   Reason = "malformed-signature"
	MalformedTimestamp   Reason = "malformed-timestamp"
	MalformedBody        Reason = "malformed-body"
	SignatureMismatch    Reason = "signature-mismatch"
	TokenMismatch        Reason = "token-mismatch"
	BodyHashMismatch     Reason = "body-hash-mismatch"
	ClaimMismatch        Reason = "claim-mismatch"
	Expired              Reason = "expired"
	TimestampTooOld      Reason = "timestamp-too-old"
	TimestampTooNew      Reason = "timestamp-too-new"
	UnknownKey           Reason = "unknown-key"
	UnsupportedAlgorithm Reason = "unsupported-algorithm"
	UntrustedCertificate Reason = "untrusted-certificate-url"
	EmptySecret          Reason = "empty-secret"
	// Unavailable is trouble of ours or of a third party (a certificate or key
	// set that could not be fetched): the receiver answers 503, never 4xx.
	Unavailable Reason = "unavailable"
)

// Step is the check that refused a request; the receiver's answer depends on it.
type Step uint8

// The steps, in the order of their checks.
const (
	StepCredentials Step = iota // a token or Basic credentials: 401
	StepPresence                // a signature, id or guard that is absent or wrong: 401
	StepTimestamp               // absent or unreadable: 400
	StepSignature               // wrong: 401
	StepWindow                  // too old or in the future: 400
	StepService                 // could not be judged now: 503
)

// String names the step for metrics.
func (s Step) String() string {
	switch s {
	case StepCredentials:
		return "credentials"
	case StepPresence:
		return "presence"
	case StepTimestamp:
		return "timestamp"
	case StepSignature:
		return "signature"
	case StepWindow:
		return "window"
	default:
		return "service"
	}
}

// Failure is why Verify refused a request. Its text is safe to log: it holds
// nothing the sender sent and nothing that was expected.
type Failure struct {
	Reason Reason
	Step   Step
	// Detail is one sentence for the owner of the source.
	Detail string
}

// Refuse makes a failure at the step at which its reason shows up. The detail is a
// sentence without capital and full stop, as Go's errors are.
func Refuse(reason Reason, detail string) *Failure {
	return &Failure{Reason: reason, Step: reason.step(), Detail: detail}
}

// at moves a failure to another step than its reason's usual one.
func (f *Failure) at(s Step) *Failure {
	f.Step = s
	return f
}

// step is the check at which a reason usually shows up.
func (r Reason) step() Step {
	switch r {
	case MissingSignature, MissingID, MalformedID, MalformedSignature, MalformedBody, UnsupportedAlgorithm:
		return StepPresence
	case MissingTimestamp, MalformedTimestamp:
		return StepTimestamp
	case TimestampTooOld, TimestampTooNew:
		return StepWindow
	case TokenMismatch:
		return StepCredentials
	case Unavailable:
		return StepService
	default:
		return StepSignature
	}
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Detail == "" {
		return string(f.Reason)
	}
	return string(f.Reason) + ": " + f.Detail
}

// Fetch reads the document behind a URL that the caller has already found
// trustworthy. It returns the whole body of a 200 answer. It must not follow
// redirects and must bound the size of what it reads.
type Fetch = func(ctx context.Context, url string) ([]byte, error)

// Instant gives the time at which certificates and tokens must be valid: Now or, where that is
// zero, the present. Unlike the window, their validity is never left unchecked.
func (o Options) Instant() time.Time {
	if o.Now.IsZero() {
		return time.Now()
	}
	return o.Now
}

// Options are the circumstances in which a request is judged.
type Options struct {
	// Context bounds fetches of certificates and key sets; nil stands for context.Background.
	Context context.Context
	// Now is the time of the request; zero turns the timestamp window off.
	Now time.Time
	// Tolerance, unless it is nil, replaces both tolerances of the profile; a negative one turns
	// the window off. A profile that allows more to the future than to the past goes on doing so.
	Tolerance *time.Duration
	// Fetch gets a certificate or key set; nil refuses what needs one. It must
	// check the size and follow no redirect.
	Fetch Fetch
	// Client names the client that sent the request. Fetches for requests that are not verified
	// yet are counted by client, so that strangers use up only their own share.
	Client string
	// Certificate is a PEM certificate to use instead of a fetched one. No chain is built for it,
	// but it must be valid at Now. Where a scheme uses a key set, the key of the certificate is
	// used instead.
	Certificate []byte
}
