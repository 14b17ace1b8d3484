package verify

import (
	"errors"
	"regexp"
	"strings"
)

// The values of an SNS message's Type.
const (
	snsNotification = "Notification"
	snsSubscribe    = "SubscriptionConfirmation"
	snsUnsubscribe  = "UnsubscribeConfirmation"
)

// snsHost is the rule for the host of a signing certificate and of a confirmation. A check of the
// suffix alone would let in buckets, which live under amazonaws.com too.
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
var snsHost = regexp.MustCompile(`^sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?$`)

// snsMessage is an SNS message's text fields.
type snsMessage struct {
	fields map[string]string
}

// parseSNS reads the JSON body of an SNS request. The members the signature or this package looks at
// must be strings.
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

// canonical returns the text that the signature of the message covers, or false when the message is
// of no known type or lacks a field.
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
		if !present && name != "Subject" {
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
