package verify

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" //nolint:gosec // SNS and Twilio still sign with SHA-1.
	_ "crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// codedFailure makes the failure of a coded verifier; the step follows from the reason.
func codedFailure(reason Reason, detail string) *Failure {
	var step Step
	switch reason {
	case MissingSignature, MissingID:
		step = StepPresence
	case MissingTimestamp, MalformedTimestamp:
		step = StepTimestamp
	case TimestampTooOld, TimestampTooNew:
		step = StepWindow
	case TokenMismatch:
		step = StepCredentials
	case Unavailable:
		step = StepService
	default:
		step = StepSignature
	}
	return &Failure{Reason: reason, Step: step, Detail: detail}
}

// judgedAt is the time at which certificates and tokens must be valid. Unlike a tolerance their
// validity is never turned off: without a time of the request the present counts.
func judgedAt(o Options) time.Time {
	if o.Now.IsZero() {
		return time.Now()
	}
	return o.Now
}

// codedHeader returns the one value of a header. Several lines of it are refused: which of them
// another reader takes is anybody's guess.
func codedHeader(r *Request, name string, missing Reason) (string, error) {
	values := r.Header.Values(name)
	if len(values) == 0 || (len(values) == 1 && strings.TrimSpace(values[0]) == "") {
		return "", codedFailure(missing, "The header "+name+" is absent.")
	}
	if len(values) > 1 {
		return "", codedFailure(MalformedSignature, "The header "+name+" is there more than once.")
	}
	return strings.TrimSpace(values[0]), nil
}

// codedHeaderName is the header a profile names for the signature, else the sender's usual one.
func codedHeaderName(p Profile, usual string) string {
	if len(p.Signature.Headers) > 0 && p.Signature.Headers[0] != "" {
		return p.Signature.Headers[0]
	}
	return usual
}

// codedKeys returns the texts of the active secrets that are not empty. None left fails closed.
func codedKeys(secrets []Secret, o Options) ([]string, error) {
	var keys []string
	for _, secret := range secrets {
		if secret.Value != "" && secret.Active(o.Now) {
			keys = append(keys, secret.Value)
		}
	}
	if len(keys) == 0 {
		return nil, codedFailure(EmptySecret, "The source has no active secret, or an empty one.")
	}
	return keys, nil
}

// decodeStrict decodes padded base64 with no byte to spare, so that one signature has one spelling.
func decodeStrict(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, base64.CorruptInputError(0)
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}

// verifyRSA checks an RSA PKCS #1 v1.5 signature in base64 over content.
func verifyRSA(key *rsa.PublicKey, hash crypto.Hash, content []byte, signature []byte) error {
	digest := hash.New()
	digest.Write(content)
	if rsa.VerifyPKCS1v15(key, hash, digest.Sum(nil), signature) != nil {
		return codedFailure(SignatureMismatch, "The signature does not fit the message.")
	}
	return nil
}

// codedWindow judges the time of a message whose sender mandates no window: only when the source sets
// a tolerance, or its profile names a timestamp. The edges are inside.
func codedWindow(p Profile, o Options, at time.Time) error {
	past, future := p.Timestamp.Past, p.Timestamp.Future
	on := p.Timestamp.From != "" && !p.Timestamp.Unchecked
	if o.Tolerance != nil {
		past, future, on = *o.Tolerance, *o.Tolerance, *o.Tolerance >= 0
	}
	if !on || o.Now.IsZero() {
		return nil
	}
	switch age := o.Now.Sub(at); {
	case age > past:
		return codedFailure(TimestampTooOld, "The message is older than the tolerance.")
	case -age > future:
		return codedFailure(TimestampTooNew, "The message is from the future.")
	}
	return nil
}

// wordList splits the value of a setting that holds several words, at commas and white space.
func wordList(text string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(text, func(r rune) bool {
		return r == ',' || r == ' ' || r == '\n' || r == '\t'
	}), func(word string) bool { return word == "" })
}

// codedCovers reports whether every place of a source is one the signature reaches, by judge. See
// Source for the grammar; the text of a const or a param is the owner's own.
func codedCovers(source string, judge func(kind, name string) bool) bool {
	places := strings.NewReplacer("|", "\n", " + ", "\n", " & ", "\n").Replace(source)
	for place := range strings.SplitSeq(places, "\n") {
		kind, name, _ := strings.Cut(strings.TrimSpace(place), ":")
		name, _, _ = strings.Cut(name, "#")
		if kind != "const" && kind != "param" && !judge(kind, name) {
			return false
		}
	}
	return true
}

// notHeader is the judge of senders that sign all but the headers.
func notHeader(kind, _ string) bool { return kind != "header" }
