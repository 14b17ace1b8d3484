package coded

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// sns verifies the messages of Amazon SNS, which carry their signature and the address of its
// certificate in the body.
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
type sns struct {
	profile      verify.Profile
	topics       []string
	certificates *certificateSource
}

// snsSubject matches the name in a signing certificate: sns.amazonaws.com or that of a region.
var snsSubject = regexp.MustCompile(`^sns[a-z0-9.-]*\.amazonaws\.com(\.cn)?$`)

func snsTraits(p verify.Profile) verify.Traits {
	t := verify.Traits{Fetches: true, Public: true, Keyless: true, Dated: true, Signs: "the message's fields but its attributes"}
	if p.Params["topics"] == "" {
		t.Caution = "Amazon signs for every topic of every account, so anyone who has one can send events here, and no " +
			"subscription is confirmed; set params: {topics: ...} to the ARNs of yours"
	}
	return t
}

// newSNS makes the verifier of the algorithm sns. The parameter topics lists the ARNs of the
// topics, separated by commas or spaces. When it is given, messages of other topics are refused and
// the subscriptions to these are confirmed; without it any AWS account can have a message verified,
// and nothing is confirmed.
func newSNS(p verify.Profile) (verify.Coded, error) {
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

// Verify implements verify.Coded. Secrets are not used; SNS has none.
func (s *sns) Verify(r *verify.Request, _ []verify.Secret, o verify.Options) error {
	message, err := parseSNS(r.Body)
	if err != nil {
		return verify.Refuse(verify.MalformedSignature, "the body is not an SNS message")
	}
	signature, hash, err := message.signature()
	if err != nil {
		return err
	}
	content, ok := message.canonical()
	if !ok {
		return verify.Refuse(verify.MalformedSignature, "the SNS message lacks a signed field or is of no known type")
	}
	// The topic is checked first, so that a stranger who does not know it causes no fetch.
	if len(s.topics) > 0 && !slices.Contains(s.topics, message.fields["TopicArn"]) {
		return verify.Refuse(verify.ClaimMismatch, "the topic is not one of the source's")
	}
	if snsCertificateURL(message.fields["SigningCertURL"]) != nil {
		return verify.Refuse(verify.UntrustedCertificate, "SigningCertURL is not an address of SNS")
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
		return verify.Refuse(verify.MalformedTimestamp, "Timestamp is not RFC 3339")
	}
	return judgeAge(s.profile, o, at)
}

// signature returns the message's signature and the hash under it.
func (m snsMessage) signature() ([]byte, crypto.Hash, error) {
	if m.fields["Signature"] == "" {
		return nil, 0, verify.Refuse(verify.MissingSignature, "the SNS message has no Signature")
	}
	hash := crypto.SHA1
	switch m.fields["SignatureVersion"] {
	case "1":
	case "2":
		hash = crypto.SHA256
	default:
		return nil, 0, verify.Refuse(verify.UnsupportedAlgorithm, "SignatureVersion is neither 1 nor 2")
	}
	signature, err := decodeStrict(m.fields["Signature"])
	if err != nil {
		return nil, 0, verify.Refuse(verify.MalformedSignature, "Signature is not base64")
	}
	return signature, hash, nil
}

// Covers implements verify.Coded. Message attributes and the UnsubscribeURL are not signed.
func (s *sns) Covers(kind, name string) bool {
	return kind == "body" &&
		slices.Contains([]string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}, name)
}

// Content implements verify.Coded.
func (s *sns) Content(r *verify.Request) ([]byte, error) {
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

// Handshake implements verify.CodedHandshaker: it confirms a subscription to a listed topic by
// visiting its SubscribeURL. The SubscribeURL of an UnsubscribeConfirmation would subscribe again
// and is never visited. An error means that the confirmation failed now; SNS will ask again.
func (s *sns) Handshake(r *verify.Request, o verify.Options) (*verify.Answer, error) {
	message, err := parseSNS(r.Body)
	if err != nil {
		return nil, nil //nolint:nilerr // A body that is not a message of SNS is no handshake.
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

// Sign implements verify.CodedSigner, with a private key in PEM: it signs the message in the
// body.
func (s *sns) Sign(r *verify.Request, secret verify.Secret, _ time.Time) (verify.Additions, error) {
	var fields map[string]any
	if err := json.Unmarshal(r.Body, &fields); err != nil {
		return verify.Additions{}, errors.New("the body is no SNS message")
	}
	if len(s.topics) > 0 {
		fields["TopicArn"] = s.topics[0]
	}
	fields["SignatureVersion"], fields["Signature"] = "2", ""
	body, err := json.Marshal(fields)
	if err != nil {
		return verify.Additions{}, fmt.Errorf("encode the message: %w", err)
	}
	content, err := s.Content(&verify.Request{Body: body})
	if err != nil {
		return verify.Additions{}, err
	}
	if fields["Signature"], err = signRSA(secret.Value, crypto.SHA256, content); err != nil {
		return verify.Additions{}, err
	}
	body, err = json.Marshal(fields)
	return verify.Additions{Body: body}, err
}

// snsAnswer makes an answer without a body, with a note for the source's owner.
func snsAnswer(name string, status int, note string) *verify.Answer {
	return &verify.Answer{Name: name, Status: status, ContentType: "text/plain", Note: note}
}

// confirmable reports whether the SubscribeURL is an address of SNS that confirms the message's
// topic and does nothing else.
func (m snsMessage) confirmable() bool {
	address, err := httpsURL(m.fields["SubscribeURL"])
	if err != nil || !snsHost.MatchString(address.Host) {
		return false
	}
	query, err := url.ParseQuery(address.RawQuery)
	return err == nil && len(query["Action"]) == 1 && query.Get("Action") == "ConfirmSubscription" &&
		len(query["TopicArn"]) == 1 && query.Get("TopicArn") == m.fields["TopicArn"]
}

// confirm visits the SubscribeURL of a verified and confirmable message.
func (m snsMessage) confirm(o verify.Options) error {
	if o.Fetch == nil {
		return verify.Refuse(verify.Unavailable, "fetching is not allowed here, so the subscription was not confirmed")
	}
	ctx, cancel := fetchContext(o)
	defer cancel()
	if _, err := o.Fetch(ctx, m.fields["SubscribeURL"]); err != nil {
		return verify.Refuse(verify.Unavailable, "the subscription could not be confirmed")
	}
	return nil
}

// The values of an SNS message's Type.
const (
	snsNotification = "Notification"
	snsSubscribe    = "SubscriptionConfirmation"
	snsUnsubscribe  = "UnsubscribeConfirmation"
)

// snsHost matches the host of a signing certificate and of a confirmation. A check of the suffix
// alone would let in S3 buckets, whose hosts end in amazonaws.com too.
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
var snsHost = regexp.MustCompile(`^sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?$`)

// snsMessage holds the text fields of an SNS message.
type snsMessage struct {
	fields map[string]string
}

// parseSNS reads the JSON body of an SNS request. The members that the signature covers or this
// package uses must be strings.
func parseSNS(body []byte) (snsMessage, error) {
	names := []string{
		"Message", "MessageId", "Signature", "SignatureVersion", "SigningCertURL", "Subject",
		"SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
	}
	object, err := strictObject(body, names)
	if err != nil {
		return snsMessage{}, err
	}
	message := snsMessage{fields: make(map[string]string, len(object))}
	for _, name := range names {
		value, present := object[name]
		if !present || (name == "Subject" && value == nil) {
			continue
		}
		text, ok := value.(string)
		if !ok {
			return snsMessage{}, errors.New("the member " + name + " is not a string")
		}
		message.fields[name] = text
	}
	return message, nil
}

// canonical returns the text that the signature of the message covers, or false if the message is
// of an unknown type or lacks a field. Only Message may hold a line feed: the fields behind it
// can be told from the end of the text, a line each, so no other message has the same text.
func (m snsMessage) canonical() (string, bool) {
	var names []string
	switch m.fields["Type"] {
	case snsNotification:
		names = []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	case snsSubscribe, snsUnsubscribe:
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	default:
		return "", false
	}
	var text strings.Builder
	for _, name := range names {
		value, present := m.fields[name]
		if !present && name != "Subject" || name != "Message" && strings.Contains(value, "\n") {
			return "", false
		}
		if present {
			text.WriteString(name + "\n" + value + "\n")
		}
	}
	return text.String(), true
}

// snsCertificateURL reports whether the certificate behind a URL can be trusted to be Amazon's. A
// query is refused, because the same hosts answer API calls.
func snsCertificateURL(text string) error {
	parsed, err := httpsURL(text)
	if err != nil {
		return err
	}
	if !snsHost.MatchString(parsed.Host) || !strings.HasSuffix(parsed.Path, ".pem") ||
		parsed.RawQuery != "" || parsed.ForceQuery {
		return errors.New("the URL is not one of an SNS signing certificate")
	}
	return nil
}
