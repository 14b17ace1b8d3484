package verify

import (
	"context"
	"time"
)

// Reason is why a request was refused. The names are stable: metrics, logs and
// test vectors carry them.
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

// Instant is the time at which certificates and tokens must be valid. Unlike a
// tolerance their validity is never turned off: without a time of the request the
// present counts.
func (o Options) Instant() time.Time {
	if o.Now.IsZero() {
		return time.Now()
	}
	return o.Now
}

// Options are the circumstances in which a request is judged.
type Options struct {
	// Context bounds fetches of certificates and key sets; nil is Background.
	Context context.Context
	// Now is the time of the request; zero turns the window off.
	Now time.Time
	// Tolerance replaces both tolerances of the profile when it is not nil; a
	// negative one turns the window off. A profile that is laxer to the future
	// than to the past stays so.
	Tolerance *time.Duration
	// Fetch gets a certificate or key set; nil refuses what needs one. It must
	// check the size and follow no redirect.
	Fetch Fetch
	// Client is who sent the request. Fetches that a request asks for before anything of it
	// is verified are counted by client, so that a stranger uses up its own only.
	Client string
	// Certificate is a PEM that is taken as it is instead of one fetched, without
	// building its chain; its validity at Now is still checked. In the place of a
	// key set its key counts.
	Certificate []byte
}
