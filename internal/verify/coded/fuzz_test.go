package coded_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
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
	checker, err := coded.NewTestCoded(verify.Profile{Algorithm: "sns"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		err := checker.Verify(codedRequest("", body), nil, verify.Options{Now: codedNow})
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
		if coded.SNSCertificateURL(text) != nil {
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
		strict, err := coded.StrictObject(body)
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

// FuzzJWT feeds tokens to the verifier: it must answer with a *Failure and never accept one,
// because no seed is signed with the source's secret.
func FuzzJWT(f *testing.F) {
	for _, seed := range []string{
		"", "a.b.c", b64(`{"alg":"none"}`) + "." + b64(`{}`) + ".", b64(`{"alg":"HS256","crit":["x"]}`) + "." + b64(`{}`) + ".AA",
		b64(`{"alg":"HS256","x5c":["AAAA"]}`) + "..AA", b64(`{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`) + "." + b64(`[]`) + ".AA",
	} {
		f.Add(seed)
	}
	checker, err := coded.NewTestCoded(hsProfile("HS256", "HS512"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := checker.Verify(codedRequest("", "", "Authorization", text), secretsOf("a secret nobody knows"), verify.Options{Now: codedNow})
		if _, ok := errors.AsType[*verify.Failure](err); !ok {
			t.Fatalf("the token %q gave %v", text, err)
		}
	})
}

// FuzzJWTClaims feeds signed claims to the checks, which must not panic on any of them.
func FuzzJWTClaims(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"exp":1e999}`, `{"exp":-1,"nbf":0.5,"iat":null}`, `{"aud":[[]],"iss":{}}`, `{"exp":99999999999,"tid":"x","iss":1}`,
	} {
		f.Add(seed)
	}
	checker, err := coded.NewTestCoded(hsProfile("HS256"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, claims string) {
		signed := signedClaims(claims)
		err := checker.Verify(codedRequest("", "", "Authorization", signed), secretsOf(hsSecret), verify.Options{Now: codedNow})
		var failure *verify.Failure
		if err != nil && !errors.As(err, &failure) {
			t.Fatalf("the claims %q gave %v", claims, err)
		}
	})
}

// signedClaims signs any bytes as claims under hsSecret.
func signedClaims(claims string) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(hsSecret)}, nil)
	if err != nil {
		return ""
	}
	signed, err := signer.Sign([]byte(claims))
	if err != nil {
		return ""
	}
	compact, _ := signed.CompactSerialize()
	return compact
}

// FuzzGraphBody feeds bodies to the verifier of collections, which must accept only those whose
// every clientState is the secret.
func FuzzGraphBody(f *testing.F) {
	f.Add(`{"value":[{"clientState":"x"}],"validationTokens":["a.b.c"]}`)
	f.Add(`{"value":{},"validationTokens":[null]}`)
	checker, err := coded.NewTestCoded(graphProfile())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		err := checker.Verify(codedRequest("", body), secretsOf("a secret nobody knows"), verify.Options{Now: codedNow})
		if _, ok := errors.AsType[*verify.Failure](err); !ok {
			t.Fatalf("the body %q gave %v", body, err)
		}
	})
}
