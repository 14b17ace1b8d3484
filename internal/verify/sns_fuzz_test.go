package verify_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/grapnel/grapnel/internal/verify"
)

// FuzzSNS feeds bodies to the verifier: it must answer with a *Failure, ask only SNS for a
// certificate, and never accept one.
func FuzzSNS(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"Type":"Notification","Signature":"AA==","SignatureVersion":"1","SigningCertURL":"https://sns.us-west-2.amazonaws.com/x.pem","Message":"","MessageId":"","Timestamp":"","TopicArn":""}`,
		`{"Type":"SubscriptionConfirmation","Signature":"AA==","SignatureVersion":"2"}`, `{"a":{"b":[1,2,{"c":null}]},"A":1}`,
	} {
		f.Add(seed)
	}
	coded, err := verify.NewTestCoded(verify.Profile{Algorithm: "sns"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		err := coded.Verify(codedRequest("", body), nil, verify.Options{Now: codedNow})
		if _, ok := errors.AsType[*verify.Failure](err); !ok {
			t.Fatalf("the body %q gave %v", body, err)
		}
	})
}

// FuzzSNSCertificateURL holds the rule to what a browser's idea of the host would be.
func FuzzSNSCertificateURL(f *testing.F) {
	for _, seed := range []string{snsCert, "https://sns.us-west-2.amazonaws.com@evil.example/x.pem", `https://evil\.sns.us-west-2.amazonaws.com/.pem`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if verify.SNSCertificateURL(text) != nil {
			return
		}
		parsed, err := url.Parse(text)
		if err != nil || !strings.HasPrefix(parsed.Host, "sns.") || strings.ContainsAny(parsed.Host, "@:/\\%") ||
			(!strings.HasSuffix(parsed.Host, ".amazonaws.com") && !strings.HasSuffix(parsed.Host, ".amazonaws.com.cn")) {
			t.Fatalf("the URL %q was taken", text)
		}
	})
}

// FuzzStrictObject checks that what the strict decoder takes, the ordinary one reads the same.
func FuzzStrictObject(f *testing.F) {
	for _, seed := range []string{`{"a":1,"b":[true,null,"x"]}`, `{"a":1,"A":2}`, `{"a":{}}{}`, `[[[[`, `{"a":"\ud800"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		strict, err := verify.StrictObject(body)
		if err != nil {
			return
		}
		var ordinary map[string]any
		decoder := json.NewDecoder(strings.NewReader(string(body)))
		decoder.UseNumber()
		if err := decoder.Decode(&ordinary); err != nil || !reflect.DeepEqual(strict, ordinary) {
			t.Fatalf("the body %q is read as %v and as %v (%v)", body, strict, ordinary, err)
		}
	})
}
