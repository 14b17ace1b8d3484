package verify_test

import (
	"errors"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/grapnel/grapnel/internal/verify"
)

// FuzzJWT feeds tokens to the verifier: it must answer with a *Failure and never accept one, because
// no seed is signed with the source's secret.
func FuzzJWT(f *testing.F) {
	for _, seed := range []string{
		"", "a.b.c", b64(`{"alg":"none"}`) + "." + b64(`{}`) + ".", b64(`{"alg":"HS256","crit":["x"]}`) + "." + b64(`{}`) + ".AA",
		b64(`{"alg":"HS256","x5c":["AAAA"]}`) + "..AA", b64(`{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`) + "." + b64(`[]`) + ".AA",
	} {
		f.Add(seed)
	}
	coded, err := verify.NewTestCoded(hsProfile("HS256", "HS512"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := coded.Verify(codedRequest("", "", "Authorization", text), secretsOf("a secret nobody knows"), verify.Options{Now: codedNow})
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
	coded, err := verify.NewTestCoded(hsProfile("HS256"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, claims string) {
		signed := signedClaims(claims)
		err := coded.Verify(codedRequest("", "", "Authorization", signed), secretsOf(hsSecret), verify.Options{Now: codedNow})
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

// FuzzGraphBody feeds bodies to the verifier of collections, which must accept only those whose every
// clientState is the secret.
func FuzzGraphBody(f *testing.F) {
	f.Add(`{"value":[{"clientState":"x"}],"validationTokens":["a.b.c"]}`)
	f.Add(`{"value":{},"validationTokens":[null]}`)
	coded, err := verify.NewTestCoded(graphProfile())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		err := coded.Verify(codedRequest("", body), secretsOf("a secret nobody knows"), verify.Options{Now: codedNow})
		if _, ok := errors.AsType[*verify.Failure](err); !ok {
			t.Fatalf("the body %q gave %v", body, err)
		}
	})
}
