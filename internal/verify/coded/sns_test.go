package coded_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

const (
	snsTopic = "arn:aws:sns:us-west-2:123456789012:events"
	snsCert  = "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-1.pem"
	snsVisit = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + snsTopic + "&Token=tok"
)

// newSNS makes a verifier of the source's topics.
func newSNS(t *testing.T, topics string) verify.Coded {
	t.Helper()
	checker, err := coded.NewTestCoded(verify.Profile{Algorithm: "sns", Params: map[string]string{"topics": topics}})
	require.NoError(t, err)
	return checker
}

// snsFields is a message of a type before it is signed; changes are names and values in turn, and
// an empty value takes the field away.
func snsFields(kind string, changes ...string) map[string]string {
	fields := map[string]string{
		"Type": kind, "MessageId": "id-1", "TopicArn": snsTopic, "Message": "a \"text\"\nof two lines",
		"Timestamp": codedNow.Format(time.RFC3339Nano), "SignatureVersion": "2", "SigningCertURL": snsCert,
	}
	if kind != "Notification" {
		fields["Token"], fields["SubscribeURL"] = "tok", snsVisit
	}
	for i := 0; i < len(changes); i += 2 {
		if fields[changes[i]] = changes[i+1]; changes[i+1] == "" {
			delete(fields, changes[i])
		}
	}
	return fields
}

// sign signs a message as SNS does and returns its body.
func (s signer) sign(t *testing.T, fields map[string]string) string {
	t.Helper()
	names := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if fields["Type"] != "Notification" {
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	hash := crypto.SHA256
	if fields["SignatureVersion"] == "1" {
		hash = crypto.SHA1
	}
	digest := hash.New()
	for _, name := range names {
		if value, ok := fields[name]; ok {
			digest.Write([]byte(name + "\n" + value + "\n"))
		}
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, hash, digest.Sum(nil))
	require.NoError(t, err)
	fields["Signature"] = base64.StdEncoding.EncodeToString(signature)
	body, err := json.Marshal(fields)
	require.NoError(t, err)
	return string(body)
}

// TestSNSMessages judges messages and attacks on them, with the certificate pinned.
func TestSNSMessages(t *testing.T) {
	s := newSigner(t, "sns.amazonaws.com", time.Hour)
	note := func(changes ...string) string { return s.sign(t, snsFields("Notification", changes...)) }
	good := note()
	for _, test := range []struct {
		name, body string
		want       verify.Reason
	}{
		{"a notification under SHA-256", good, ""},
		{"a notification under SHA-1", note("SignatureVersion", "1"), ""},
		{"a notification with a subject", note("Subject", "s"), ""},
		{"a null subject is no subject", strings.Replace(good, `{`, `{"Subject":null,`, 1), ""},
		{"a subscription", s.sign(t, snsFields("SubscriptionConfirmation")), ""},
		{"a cancelled subscription", s.sign(t, snsFields("UnsubscribeConfirmation")), ""},
		{"a byte of the message changed", strings.Replace(good, "two lines", "too lines", 1), verify.SignatureMismatch},
		{"a subject added", strings.Replace(good, `{`, `{"Subject":"x",`, 1), verify.SignatureMismatch},
		{"a second Message", strings.Replace(good, `{`, `{"Message":"x",`, 1), verify.MalformedSignature},
		{"a second message in lower case", strings.Replace(good, `{`, `{"message":"x",`, 1), verify.MalformedSignature},
		{"a second meſſage in old letters", strings.Replace(good, `{`, `{"Meſſage":"x",`, 1), verify.MalformedSignature},
		{"attributes named like members", strings.Replace(good, `{`, `{"MessageAttributes":{"type":{"Type":"String","Value":"x"},"message":1},`, 1), ""},
		{"text after the object", good + "{}", verify.MalformedSignature},
		{"a list", "[" + good + "]", verify.MalformedSignature},
		{"a message that is a number", strings.Replace(good, `"id-1"`, `1`, 1), verify.MalformedSignature},
		{"an unknown type", s.sign(t, snsFields("Other")), verify.MalformedSignature},
		{"a notification called a subscription", strings.Replace(good, `"Notification"`, `"SubscriptionConfirmation"`, 1), verify.MalformedSignature},
		{"no token in a subscription", s.sign(t, snsFields("SubscriptionConfirmation", "Token", "")), verify.MalformedSignature},
		{"no signature", `{"Type":"Notification"}`, verify.MissingSignature},
		{"a signature that is not base64", strings.Replace(good, `"Signature":"`, `"Signature":"*`, 1), verify.MalformedSignature},
		{"signature version 3", note("SignatureVersion", "3"), verify.UnsupportedAlgorithm},
		{"version 2 called 1", strings.Replace(good, `"SignatureVersion":"2"`, `"SignatureVersion":"1"`, 1), verify.SignatureMismatch},
		{"another topic", note("TopicArn", snsTopic+"2"), verify.ClaimMismatch},
		{"a time that is none", note("Timestamp", "yesterday"), verify.MalformedTimestamp},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := verify.Options{Now: codedNow, Fetch: noFetch(t), Certificate: s.pem}
			requireReason(t, test.want, newSNS(t, "arn:other, "+snsTopic).Verify(codedRequest("", test.body), nil, options))
		})
	}
}

// TestSNSCertificateURL refuses every address that is not one of SNS.
func TestSNSCertificateURL(t *testing.T) {
	s := signer{key: newRSA(t, 1024)}
	for _, test := range []struct {
		name, url string
		good      bool
	}{
		{"a region", snsCert, true},
		{"China", "https://sns.cn-north-1.amazonaws.com.cn/x.pem", true},
		{"plain http", "http://sns.us-west-2.amazonaws.com/x.pem", false},
		{"a longer host", "https://sns.us-west-2.amazonaws.com.evil.example/x.pem", false},
		{"a bucket", "https://sns.us-west-2.s3.amazonaws.com/x.pem", false},
		{"a bucket in front", "https://evil.sns.us-west-2.amazonaws.com/x.pem", false},
		{"another service", "https://sqs.us-west-2.amazonaws.com/x.pem", false},
		{"no region", "https://sns.amazonaws.com/x.pem", false},
		{"a region of two letters", "https://sns.us.amazonaws.com/x.pem", false},
		{"a user that looks like the host", "https://sns.us-west-2.amazonaws.com@evil.example/x.pem", false},
		{"a user", "https://u@sns.us-west-2.amazonaws.com/x.pem", false},
		{"a port", "https://sns.us-west-2.amazonaws.com:443/x.pem", false},
		{"an empty port", "https://sns.us-west-2.amazonaws.com:/x.pem", false},
		{"a final dot", "https://sns.us-west-2.amazonaws.com./x.pem", false},
		{"a backslash", `https://evil.example\@sns.us-west-2.amazonaws.com/x.pem`, false},
		{"a backslash in the host", `https://evil.example\.sns.us-west-2.amazonaws.com/x.pem`, false},
		{"a line break", "https://sns.us-west-2.amazonaws.com\n/x.pem", false},
		{"an escaped dot", "https://sns.us-west-2%2eamazonaws.com/x.pem", false},
		{"a query", "https://sns.us-west-2.amazonaws.com/x.pem?Action=Publish", false},
		{"an empty query", "https://sns.us-west-2.amazonaws.com/x.pem?", false},
		{"a fragment", "https://sns.us-west-2.amazonaws.com/x#.pem", false},
		{"no certificate's path", "https://sns.us-west-2.amazonaws.com/x.pem/y", false},
		{"the file scheme", "file:///etc/x.pem", false},
		{"an opaque URL", "https:sns.us-west-2.amazonaws.com/x.pem", false},
		{"nothing", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.good, coded.SNSCertificateURL(test.url) == nil)
			if !test.good {
				body := s.sign(t, snsFields("Notification", "SigningCertURL", test.url))
				options := verify.Options{Now: codedNow, Fetch: noFetch(t)}
				requireReason(t, verify.UntrustedCertificate, newSNS(t, "").Verify(codedRequest("", body), nil, options))
			}
		})
	}
}

// TestSNSWindow judges a message's age only when a tolerance is set.
func TestSNSWindow(t *testing.T) {
	s := newSigner(t, "sns.amazonaws.com", 100*time.Hour)
	body := s.sign(t, snsFields("Notification"))
	tolerance, off := time.Minute, -time.Second
	for _, test := range []struct {
		name      string
		now       time.Time
		tolerance *time.Duration
		want      verify.Reason
	}{
		{"no tolerance, a day old", codedNow.Add(24 * time.Hour), nil, ""},
		{"a tolerance that is off", codedNow.Add(24 * time.Hour), &off, ""},
		{"at the edge", codedNow.Add(time.Minute), &tolerance, ""},
		{"too old", codedNow.Add(time.Minute + 1), &tolerance, verify.TimestampTooOld},
		{"from the future", codedNow.Add(-time.Minute - 1), &tolerance, verify.TimestampTooNew},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := verify.Options{Now: test.now, Tolerance: test.tolerance, Certificate: s.pem}
			requireReason(t, test.want, newSNS(t, "").Verify(codedRequest("", body), nil, options))
		})
	}
}

// TestSNSHandshake confirms subscriptions of listed topics, and nothing else.
func TestSNSHandshake(t *testing.T) {
	s := newSigner(t, "sns.amazonaws.com", time.Hour)
	confirm := func(changes ...string) string { return s.sign(t, snsFields("SubscriptionConfirmation", changes...)) }
	evil := strings.Replace(snsVisit, ".amazonaws.com", ".amazonaws.com.evil.example", 1)
	for _, test := range []struct {
		name, topics, body string
		status             int
		visits             int64
	}{
		{"a listed topic is confirmed", snsTopic, confirm(), 200, 1},
		{"no topic is listed", "", confirm(), 403, 0},
		{"another topic is listed", snsTopic + "2", confirm(), 403, 0},
		{"a cancelled subscription is not renewed", snsTopic, s.sign(t, snsFields("UnsubscribeConfirmation")), 200, 0},
		{"a notification is no handshake", snsTopic, s.sign(t, snsFields("Notification")), 0, 0},
		{"an address elsewhere", snsTopic, confirm("SubscribeURL", evil), 403, 0},
		{"an address without TLS", snsTopic, confirm("SubscribeURL", "http"+snsVisit[5:]), 403, 0},
		{"an address that confirms another topic", snsTopic, confirm("SubscribeURL", strings.Replace(snsVisit, snsTopic, snsTopic+"2", 1)), 403, 0},
		{"an address that does something else", snsTopic, confirm("SubscribeURL", strings.Replace(snsVisit, "Confirm", "Delete", 1)), 403, 0},
		{"an address with two actions", snsTopic, confirm("SubscribeURL", snsVisit+"&Action=Publish"), 403, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			aws := newRemote(t, serve([]byte("<ConfirmSubscriptionResponse/>")))
			answer, err := newSNS(t, test.topics).(verify.CodedHandshaker).Handshake(codedRequest("", test.body), aws.options())
			require.NoError(t, err)
			require.Equal(t, test.visits, aws.hits.Load())
			if test.status == 0 {
				require.Nil(t, answer)
				return
			}
			require.Equal(t, test.status, answer.Status)
			require.NotEmpty(t, answer.Note)
			if test.visits > 0 {
				require.Equal(t, strings.TrimPrefix(snsVisit, "https://"), <-aws.paths)
			}
		})
	}
}

// TestSNSConfirmationFails answers as unavailable, so that SNS asks again.
func TestSNSConfirmationFails(t *testing.T) {
	aws := newRemote(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://evil.example/", http.StatusFound)
	})
	body := signer{key: newRSA(t, 1024)}.sign(t, snsFields("SubscriptionConfirmation"))
	_, err := newSNS(t, snsTopic).(verify.CodedHandshaker).Handshake(codedRequest("", body), aws.options())
	requireReason(t, verify.Unavailable, err)
	require.Equal(t, int64(1), aws.hits.Load())
	_, err = newSNS(t, snsTopic).(verify.CodedHandshaker).Handshake(codedRequest("", body), verify.Options{})
	requireReason(t, verify.Unavailable, err)
}

// TestCodedCovers names what the signatures of the coded verifiers reach.
func TestCodedCovers(t *testing.T) {
	pubsub := hsProfile("HS256")
	for _, test := range []struct {
		name    string
		profile verify.Profile
		source  string
		want    bool
	}{
		{"a signed member of SNS", verify.Profile{Algorithm: "sns"}, "body:MessageId", true},
		{"what stands in a signed text", verify.Profile{Algorithm: "sns"}, "body:Message#detail.id", true},
		{"an unsigned member of SNS", verify.Profile{Algorithm: "sns"}, "body:UnsubscribeURL", false},
		{"a header of SNS", verify.Profile{Algorithm: "sns"}, "header:x-amz-sns-message-id", false},
		{"a field of Twilio", verify.Profile{Algorithm: "twilio"}, "form:MessageSid | form:CallSid", true},
		{"a field of Twilio, else a header", verify.Profile{Algorithm: "twilio"}, "form:MessageSid | header:I-Twilio-Idempotency-Token", false},
		{"a field of Mandrill", verify.Profile{Algorithm: "mandrill"}, "form:mandrill_events#[0]._id", true},
		{"PayPal's transmission", verify.Profile{Algorithm: "paypal"}, "header:PayPal-Transmission-Id", true},
		{"PayPal's body, which a checksum binds", verify.Profile{Algorithm: "paypal"}, "body:id", false},
		{"PayPal's certificate", verify.Profile{Algorithm: "paypal"}, "header:PAYPAL-CERT-URL", false},
		{"the body beside a bare token", pubsub, "body:message.messageId", false},
		{"the body under a token's hash", messageBird(), "body:id + query:x", true},
		{"a header beside a token", messageBird(), "header:X", false},
		{"a Graph notification", graphProfile(), "body:value[0].id", false},
		{"a signed field of Adyen", verify.Profile{Algorithm: "adyen"}, "body:notificationItems[0].NotificationRequestItem.pspReference", true},
		{"an unsigned field of Adyen", verify.Profile{Algorithm: "adyen"}, "body:notificationItems[0].NotificationRequestItem.reason", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name := range test.profile.Params {
				test.profile.Settings = append(test.profile.Settings, verify.Setting{Name: name})
			}
			v, err := test.profile.Compile(coded.Schemes())
			require.NoError(t, err)
			require.Equal(t, test.want, v.Covers(test.source))
		})
	}
}
