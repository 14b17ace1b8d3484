package verify

import (
	"crypto"
	"crypto/x509"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// sns verifies the messages of Amazon SNS, which carry their signature and the address of its
// certificate in the body.
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
type sns struct {
	profile      Profile
	topics       []string
	certificates *certificateSource
}

// snsSubject is the rule for the name in a signing certificate: sns.amazonaws.com or a region's own.
var snsSubject = regexp.MustCompile(`^sns[a-z0-9.-]*\.amazonaws\.com(\.cn)?$`)

// newSNS makes the verifier of the algorithm sns. The parameter topics lists the ARNs of the topics,
// separated by commas or spaces. When it is given, messages of other topics are refused and the
// subscriptions to these are confirmed; without it any AWS account can have a message verified, and
// nothing is confirmed.
func newSNS(p Profile) (Coded, error) {
	return &sns{
		profile: p, topics: wordList(p.Params["topics"]), certificates: newCertificateSource(judgeSNS),
	}, nil
}

// judgeSNS accepts a certificate by its name. The chain is not built: the TLS connection to one of
// Amazon's hosts vouches for the document, which holds no intermediates.
func judgeSNS(_ string, chain []*x509.Certificate, _ bool, _ time.Time) error {
	if slices.ContainsFunc(append(chain[0].DNSNames, chain[0].Subject.CommonName), snsSubject.MatchString) {
		return nil
	}
	return errors.New("the certificate is not one of SNS")
}

// Verify implements Coded. Secrets are not used; SNS has none.
func (s *sns) Verify(r *Request, _ []Secret, o Options) error {
	message, err := parseSNS(r.Body)
	if err != nil {
		return codedFailure(MalformedSignature, "The body is not an SNS message.")
	}
	signature, hash, err := message.signature()
	if err != nil {
		return err
	}
	content, ok := message.canonical()
	if !ok {
		return codedFailure(MalformedSignature, "The SNS message lacks a signed field or is of no known type.")
	}
	// The topic comes first: a stranger who does not know it causes no fetch.
	if len(s.topics) > 0 && !slices.Contains(s.topics, message.fields["TopicArn"]) {
		return codedFailure(ClaimMismatch, "The topic is not one of the source's.")
	}
	if snsCertificateURL(message.fields["SigningCertURL"]) != nil {
		return codedFailure(UntrustedCertificate, "SigningCertURL is not an address of SNS.")
	}
	key, err := s.certificates.key(message.fields["SigningCertURL"], o)
	if err != nil {
		return err
	}
	if err := verifyRSA(key, hash, []byte(content), signature); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, message.fields["Timestamp"])
	if err != nil {
		return codedFailure(MalformedTimestamp, "Timestamp is not RFC 3339.")
	}
	return codedWindow(s.profile, o, at)
}

// signature returns the message's signature and the hash under it.
func (m snsMessage) signature() ([]byte, crypto.Hash, error) {
	if m.fields["Signature"] == "" {
		return nil, 0, codedFailure(MissingSignature, "The SNS message has no Signature.")
	}
	hash := crypto.SHA1
	switch m.fields["SignatureVersion"] {
	case "1":
	case "2":
		hash = crypto.SHA256
	default:
		return nil, 0, codedFailure(UnsupportedAlgorithm, "SignatureVersion is neither 1 nor 2.")
	}
	signature, err := decodeStrict(m.fields["Signature"])
	if err != nil {
		return nil, 0, codedFailure(MalformedSignature, "Signature is not base64.")
	}
	return signature, hash, nil
}

// Covers implements CodedCover. Message attributes and the UnsubscribeURL are not signed.
func (s *sns) Covers(source string) bool {
	return codedCovers(source, func(kind, name string) bool {
		return kind == "body" &&
			slices.Contains([]string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}, name)
	})
}

// Content implements CodedContent.
func (s *sns) Content(r *Request) ([]byte, error) {
	message, err := parseSNS(r.Body)
	if err != nil {
		return nil, err
	}
	content, ok := message.canonical()
	if !ok {
		return nil, errors.New("the SNS message lacks a signed field or is of no known type")
	}
	return []byte(content), nil
}

// Handshake implements CodedHandshaker: it confirms a subscription to a listed topic by visiting its
// SubscribeURL. That of an UnsubscribeConfirmation would subscribe again and is never visited. The
// error is a confirmation that could not be made now; SNS will ask again.
func (s *sns) Handshake(r *Request, o Options) (*Answer, error) {
	message, err := parseSNS(r.Body)
	if err != nil {
		return nil, nil //nolint:nilerr // What is no message of SNS is no handshake.
	}
	topic := message.fields["TopicArn"]
	switch message.fields["Type"] {
	case snsUnsubscribe:
		return snsAnswer("sns-unsubscribe", http.StatusOK, "The subscription to "+topic+" has been cancelled."), nil
	case snsSubscribe:
	default:
		return nil, nil
	}
	const name = "sns-subscribe"
	if !slices.Contains(s.topics, topic) {
		return snsAnswer(name, http.StatusForbidden, "The topic "+topic+
			" is not listed in the source's topics, so its subscription was not confirmed."), nil
	}
	if !message.confirmable() {
		return snsAnswer(name, http.StatusForbidden, "The SubscribeURL does not confirm "+topic+" at SNS."), nil
	}
	if err := message.confirm(o); err != nil {
		return nil, err
	}
	return snsAnswer(name, http.StatusOK, "The subscription to "+topic+" has been confirmed."), nil
}

// snsAnswer is an answer without a body, and a note for the source's owner.
func snsAnswer(name string, status int, note string) *Answer {
	return &Answer{Name: name, Status: status, ContentType: "text/plain", Note: note}
}
