package coded_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

// hsSecret is long enough for all HS algorithms.
const hsSecret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// goodClaims are the claims of a good token; changes are names and values in turn, nil takes away.
func goodClaims(changes ...any) map[string]any {
	claims := map[string]any{
		"iss": "https://accounts.google.com", "aud": "https://me.example/hook", "email": "push@p.iam.example",
		"email_verified": true, "iat": codedNow.Unix(), "exp": codedNow.Add(time.Hour).Unix(),
	}
	for i := 0; i < len(changes); i += 2 {
		name := changes[i].(string)
		if claims[name] = changes[i+1]; changes[i+1] == nil {
			delete(claims, name)
		}
	}
	return claims
}

// token signs claims; the header members are names and values in turn.
func token(t *testing.T, algorithm jose.SignatureAlgorithm, key, claims any, header ...any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	for i := 0; i < len(header); i += 2 {
		options.WithHeader(jose.HeaderKey(header[i].(string)), header[i+1])
	}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	require.NoError(t, err)
	payload, ok := claims.(string)
	if !ok {
		text, err := json.Marshal(claims)
		require.NoError(t, err)
		payload = string(text)
	}
	signed, err := made.Sign([]byte(payload))
	require.NoError(t, err)
	compact, err := signed.CompactSerialize()
	require.NoError(t, err)
	return compact
}

// hsProfile is a profile of HS tokens that checks every claim there is.
func hsProfile(algorithms ...string) verify.Profile {
	return verify.Profile{
		Algorithm: "jwt", Params: map[string]string{"audience": "https://me.example/hook, other", "email": "push@p.iam.example"},
		JWT: &verify.JWT{
			From: "header:Authorization", Algorithms: algorithms, Audience: "{param:audience}",
			Issuers: []string{"accounts.google.com", "https://accounts.google.com"},
			Claims:  map[string]string{"email": "{param:email}", "email_verified": "true"}, Leeway: time.Minute,
		},
	}
}

// b64 is unpadded base64url.
func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// TestJWTClaims judges tokens by their claims.
func TestJWTClaims(t *testing.T) {
	for _, test := range []struct {
		name   string
		claims any
		want   verify.Reason
	}{
		{"all good", goodClaims(), ""},
		{"another good issuer", goodClaims("iss", "accounts.google.com"), ""},
		{"a list of audiences", goodClaims("aud", []string{"x", "other"}), ""},
		{"a time with a fraction", goodClaims("exp", float64(codedNow.Unix())+0.5), ""},
		{"expired within the leeway", goodClaims("exp", codedNow.Add(-time.Minute).Unix()), ""},
		{"expired", goodClaims("exp", codedNow.Add(-61*time.Second).Unix()), verify.Expired},
		{"no exp", goodClaims("exp", nil), verify.ClaimMismatch},
		{"an exp that is a text", goodClaims("exp", "9999999999"), verify.ClaimMismatch},
		{"an exp beyond all time", goodClaims("exp", 1e300), verify.ClaimMismatch},
		{"nbf within the leeway", goodClaims("nbf", codedNow.Add(time.Minute).Unix()), ""},
		{"nbf in the future", goodClaims("nbf", codedNow.Add(2*time.Minute).Unix()), verify.TimestampTooNew},
		{"nbf that is null", `{"exp":99999999999,"nbf":null}`, verify.ClaimMismatch},
		{"iat in the future", goodClaims("iat", codedNow.Add(2*time.Minute).Unix()), verify.TimestampTooNew},
		{"another issuer", goodClaims("iss", "https://accounts.google.com.evil.example"), verify.ClaimMismatch},
		{"no issuer", goodClaims("iss", nil), verify.ClaimMismatch},
		{"another audience", goodClaims("aud", "https://me.example/hook2"), verify.ClaimMismatch},
		{"no audience", goodClaims("aud", nil), verify.ClaimMismatch},
		{"an empty audience", goodClaims("aud", ""), verify.ClaimMismatch},
		{"a list without the audience", goodClaims("aud", []any{1, nil}), verify.ClaimMismatch},
		{"another account", goodClaims("email", "evil@p.iam.example"), verify.ClaimMismatch},
		{"an account that is not verified", goodClaims("email_verified", false), verify.ClaimMismatch},
		{"no account", goodClaims("email", nil), verify.ClaimMismatch},
		{"an audience twice", `{"exp":99999999999,"aud":"https://me.example/hook","aud":"x"}`, verify.ClaimMismatch},
		{"claims that are a list", `[1]`, verify.ClaimMismatch},
		{"claims that are no JSON", `x`, verify.ClaimMismatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(hsProfile("HS256"))
			require.NoError(t, err)
			request := codedRequest("", "", "Authorization", "Bearer "+token(t, jose.HS256, []byte(hsSecret), test.claims))
			requireReason(t, test.want, checker.Verify(request, secretsOf("other", hsSecret), verify.Options{Now: codedNow}))
		})
	}
}

// TestJWTForm judges tokens by their form, their algorithm and their key.
func TestJWTForm(t *testing.T) {
	good := token(t, jose.HS256, []byte(hsSecret), goodClaims())
	parts := strings.Split(good, ".")
	claims, _ := json.Marshal(goodClaims())
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	twin := alphabet[strings.IndexByte(alphabet, good[len(good)-1])+1] // The same MAC to a lenient decoder.
	for _, test := range []struct {
		name, header string
		want         verify.Reason
	}{
		{"bearer in lower case", "bearer " + good, ""},
		{"a bare token", good, ""},
		{"HS384, which is allowed", token(t, jose.HS384, []byte(hsSecret), goodClaims()), ""},
		{"HS512, which is not", token(t, jose.HS512, []byte(hsSecret), goodClaims()), verify.UnsupportedAlgorithm},
		{"RS256, which is not", token(t, jose.RS256, newRSA(t, 2048), goodClaims()), verify.UnsupportedAlgorithm},
		{"none", b64(`{"alg":"none"}`) + "." + b64(string(claims)) + ".", verify.UnsupportedAlgorithm},
		{"None with the good signature", b64(`{"alg":"None"}`) + "." + parts[1] + "." + parts[2], verify.UnsupportedAlgorithm},
		{"no algorithm", b64(`{}`) + "." + parts[1] + "." + parts[2], verify.UnsupportedAlgorithm},
		{"a header that is no JSON", b64(`x`) + "." + parts[1] + "." + parts[2], verify.MalformedSignature},
		{"an empty signature", parts[0] + "." + parts[1] + ".", verify.SignatureMismatch},
		{"other claims", parts[0] + "." + b64(`{"exp":99999999999}`) + "." + parts[2], verify.SignatureMismatch},
		{"another key", token(t, jose.HS256, []byte(hsSecret+"x"), goodClaims()), verify.SignatureMismatch},
		{"a key in its own header", token(t, jose.HS256, []byte(hsSecret+"x"), goodClaims(), "jku", "https://evil.example/"), verify.SignatureMismatch},
		{"a critical extension", token(t, jose.HS256, []byte(hsSecret), goodClaims(), "crit", []string{"exp"}, "exp", 1), verify.UnsupportedAlgorithm},
		{"a payload that is not encoded", token(t, jose.HS256, []byte(hsSecret), goodClaims(), "b64", true), verify.UnsupportedAlgorithm},
		{"another spelling of the good signature", good[:len(good)-1] + string(twin), verify.MalformedSignature},
		{"padding", good + "=", verify.MalformedSignature},
		{"two parts", parts[0] + "." + parts[1], verify.MalformedSignature},
		{"four parts", good + ".x", verify.MalformedSignature},
		{"a JSON serialisation", `{"payload":"x","signature":"y"}`, verify.MalformedSignature},
		{"a giant", good + strings.Repeat("A", 17<<10), verify.MalformedSignature},
		{"Basic credentials", "Basic dTpw", verify.MalformedSignature},
		{"nothing", "", verify.MissingSignature},
		{"a scheme without a token", "Bearer ", verify.MalformedSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(hsProfile("HS256", "HS384"))
			require.NoError(t, err)
			request := codedRequest("", "", "Authorization", test.header)
			requireReason(t, test.want, checker.Verify(request, secretsOf(hsSecret), verify.Options{Now: codedNow}))
		})
	}
}

// TestJWTBodyHash judges tokens that are bound to a body, as FusionAuth's are: no exp, base64.
func TestJWTBodyHash(t *testing.T) {
	profile := verify.Profile{Algorithm: "jwt", JWT: &verify.JWT{
		From: "header:X-FusionAuth-Signature-JWT", Algorithms: []string{"HS256", "HS384", "HS512"},
		BodyHash: "request_body_sha256", HashEncoding: "base64",
	}}
	checker, err := coded.NewTestCoded(profile)
	require.NoError(t, err)
	const secret, body = "a short key", `{"event":{"id":"1"}}`
	signed, err := checker.(verify.CodedSigner).Sign(codedRequest("", body), verify.Secret{Value: secret}, codedNow)
	require.NoError(t, err)
	bound := signed.Headers[0].Value
	endless := token(t, jose.HS256, []byte(hsSecret), map[string]string{"request_body_sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="})
	for _, test := range []struct {
		name, token, body, secret string
		want                      verify.Reason
	}{
		{"the body it is for", bound, body, secret, ""},
		{"no exp and the hash of nothing", endless, "", hsSecret, ""},
		{"the hash of nothing for a body", endless, body, hsSecret, verify.BodyHashMismatch},
		{"a byte of the body changed", bound, body + " ", secret, verify.BodyHashMismatch},
		{"the body taken away", bound, "", secret, verify.ClaimMismatch},
		{"no hash for a body", token(t, jose.HS256, []byte(hsSecret), goodClaims()), body, hsSecret, verify.ClaimMismatch},
		{"a hash in hex", token(t, jose.HS256, []byte(hsSecret), goodClaims("request_body_sha256", strings.Repeat("0", 64))), body, hsSecret, verify.BodyHashMismatch},
		{"another secret", bound, body, "another", verify.SignatureMismatch},
		{"an empty secret", bound, body, "", verify.EmptySecret},
		{"no token", "", body, secret, verify.MissingSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := codedRequest("", test.body, "X-FusionAuth-Signature-JWT", test.token)
			requireReason(t, test.want, checker.Verify(request, secretsOf(test.secret), verify.Options{Now: codedNow}))
		})
	}
	require.True(t, checker.Covers("body", "event.id"))
}

// TestJWTProfile refuses profiles that could not be safe.
func TestJWTProfile(t *testing.T) {
	for _, test := range []struct {
		name string
		jwt  *verify.JWT
		want string
	}{
		{"no block", nil, "needs a jwt block"},
		{"no algorithm", &verify.JWT{From: "header:A"}, "algorithms is empty"},
		{"none", &verify.JWT{From: "header:A", Algorithms: []string{"none"}}, `"none" is not taken`},
		{"HS beside RS", &verify.JWT{From: "header:A", Algorithms: []string{"HS256", "RS256"}}, "cannot stand beside"},
		{"HS with a key set", &verify.JWT{From: "header:A", Algorithms: []string{"HS256"}, JWKS: "https://x/"}, "cannot hold the secrets"},
		{"a key set without an audience", &verify.JWT{From: "header:A", Algorithms: []string{"RS256"}, JWKS: "https://x/"}, "audience is needed"},
		{"a key set without TLS", &verify.JWT{From: "header:A", Algorithms: []string{"RS256"}, JWKS: "http://x/", Audience: "a"}, "https URL"},
		{"no place", &verify.JWT{Algorithms: []string{"RS256"}}, "jwt.from"},
		{"a place of another kind", &verify.JWT{From: "form:x", Algorithms: []string{"RS256"}}, "jwt.from"},
		{"one token of a body", &verify.JWT{From: "body:x", Algorithms: []string{"RS256"}}, "jwt.each"},
		{"each of a header", &verify.JWT{From: "header:x", Each: true, Algorithms: []string{"RS256"}}, "jwt.each"},
		{"each without a key set", &verify.JWT{From: "body:x", Each: true, Algorithms: []string{"RS256"}}, "needs jwt.jwks"},
		{"a hash of no encoding", &verify.JWT{From: "header:x", BodyHash: "h", Algorithms: []string{"RS256"}}, "hash_encoding"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := coded.NewTestCoded(verify.Profile{Algorithm: "jwt", JWT: test.jwt})
			require.ErrorContains(t, err, test.want)
		})
	}
}

// TestJWTParametersNotGiven fails closed at every request.
func TestJWTParametersNotGiven(t *testing.T) {
	for _, name := range []string{"audience", "email"} {
		t.Run(name, func(t *testing.T) {
			profile := hsProfile("HS256")
			delete(profile.Params, name)
			checker, err := coded.NewTestCoded(profile)
			require.NoError(t, err)
			request := codedRequest("", "", "Authorization", token(t, jose.HS256, []byte(hsSecret), goodClaims("aud", "", "email", "")))
			requireReason(t, verify.ClaimMismatch, checker.Verify(request, secretsOf(hsSecret), verify.Options{Now: codedNow}))
		})
	}
}

// TestJWTSignRoundTrip signs as the sender would and verifies, then elsewhere and later.
func TestJWTSignRoundTrip(t *testing.T) {
	for _, test := range []struct {
		name    string
		profile verify.Profile
	}{
		{"claims of every kind", hsProfile("HS512")},
		{"digests of URL and body", messageBird()},
	} {
		t.Run(test.name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(test.profile)
			require.NoError(t, err)
			signed, err := checker.(verify.CodedSigner).Sign(codedRequest("https://x/y", "b"), verify.Secret{Value: "s"}, codedNow)
			require.NoError(t, err)
			request := codedRequest("https://x/y", "b", signed.Headers[0].Name, signed.Headers[0].Value)
			require.NoError(t, checker.Verify(request, secretsOf("s"), verify.Options{Now: codedNow}))
			requireReason(t, verify.Expired, checker.Verify(request, secretsOf("s"), verify.Options{Now: codedNow.Add(time.Hour)}))
			content, err := checker.Content(request)
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(content), "."))
			if test.profile.JWT.URLHash != "" {
				request.URL += "z"
				requireReason(t, verify.ClaimMismatch, checker.Verify(request, secretsOf("s"), verify.Options{Now: codedNow}))
			}
		})
	}
}

// TestJWTSignNeedsTheSecret refuses to sign where only the sender can.
func TestJWTSignNeedsTheSecret(t *testing.T) {
	for name, profile := range map[string]verify.Profile{"a key set": jwksProfile("RS256"), "tokens in the body": graphProfile()} {
		t.Run(name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(profile)
			require.NoError(t, err)
			_, err = checker.(verify.CodedSigner).Sign(codedRequest("", ""), verify.Secret{Value: "s"}, codedNow)
			require.ErrorContains(t, err, "private key")
		})
	}
}

// TestJWTInTheQuery takes one token from the URL's query.
func TestJWTInTheQuery(t *testing.T) {
	profile := hsProfile("HS256")
	profile.JWT.From = "query:jwt"
	checker, err := coded.NewTestCoded(profile)
	require.NoError(t, err)
	good := "jwt=" + token(t, jose.HS256, []byte(hsSecret), goodClaims())
	for _, test := range []struct {
		name, query string
		want        verify.Reason
	}{
		{"one token", "a=b&" + good, ""},
		{"two tokens", good + "&" + good, verify.MissingSignature},
		{"no token", "a=b", verify.MissingSignature},
		{"a query that cannot be read", good + "&%zz", verify.MissingSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := codedRequest("", "")
			request.Query = test.query
			requireReason(t, test.want, checker.Verify(request, secretsOf(hsSecret), verify.Options{Now: codedNow}))
		})
	}
}

// TestJWTWithoutATime judges by the present: the validity of a token is never turned off.
func TestJWTWithoutATime(t *testing.T) {
	checker, err := coded.NewTestCoded(hsProfile("HS256"))
	require.NoError(t, err)
	off := -time.Second
	expired := token(t, jose.HS256, []byte(hsSecret), goodClaims("iat", 1, "exp", 2))
	request := codedRequest("", "", "Authorization", expired)
	requireReason(t, verify.Expired, checker.Verify(request, secretsOf(hsSecret), verify.Options{Tolerance: &off}))
}

// TestCodedContent shows what is signed.
func TestCodedContent(t *testing.T) {
	s := signer{key: newRSA(t, 1024)}
	for _, test := range []struct{ name, algorithm, body, want string }{
		{"SNS", "sns", s.sign(t, snsFields("Notification", "Message", "m")), "Message\nm\nMessageId\nid-1\nTimestamp\n2026-03-07T12:00:00Z\nTopicArn\n" + snsTopic + "\nType\nNotification\n"},
		{"Adyen", "adyen", adyenBody(adyenItem("p")), "p::M:r:1000:EUR:AUTHORISATION:true"},
		{"Mandrill", "mandrill", "b=2&a=1", "https://x/a1b2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(verify.Profile{Algorithm: test.algorithm})
			require.NoError(t, err)
			content, err := checker.Content(codedRequest("https://x/", test.body))
			require.NoError(t, err)
			require.Equal(t, test.want, string(content))
		})
	}
}

// graphProfile is Microsoft Graph's: the publisher's own application must have made the tokens.
func graphProfile() verify.Profile {
	return verify.Profile{
		Algorithm: "jwt", Params: map[string]string{"app_id": "app-1"},
		JWT: &verify.JWT{
			From: "body:validationTokens", Each: true, Algorithms: []string{"RS256"}, JWKS: jwksAt, Audience: "{param:app_id}",
			Issuers: []string{"https://login.microsoftonline.com/{tid}/v2.0", "https://sts.windows.net/{tid}/"},
			Claims:  map[string]string{"azp|appid": "0bf30f3b-4a52-48df-9a82-234910c4a086"},
		},
	}
}

// graphClaims are those of a good token.
func graphClaims(changes ...any) map[string]any {
	return goodClaims(append([]any{
		"iss", "https://login.microsoftonline.com/t-1/v2.0", "tid", "t-1", "aud", "app-1",
		"azp", "0bf30f3b-4a52-48df-9a82-234910c4a086",
	}, changes...)...)
}

// graphBody is a collection of notifications with tokens.
func graphBody(t *testing.T, notifications string, tokens ...string) string {
	t.Helper()
	list, err := json.Marshal(append([]string{}, tokens...))
	require.NoError(t, err)
	return `{"value":[` + notifications + `],"validationTokens":` + string(list) + `}`
}

// TestGraphNotifications judges collections of change notifications.
func TestGraphNotifications(t *testing.T) {
	key, other := newRSA(t, 2048), newRSA(t, 2048)
	store := &keyStore{keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "1"}}}
	sign := func(changes ...any) string {
		return token(t, jose.RS256, jose.JSONWebKey{Key: key, KeyID: "1"}, graphClaims(changes...))
	}
	const plain, rich = `{"id":"1","clientState":"state"}`, `{"id":"2","clientState":"state","encryptedContent":{"data":"x"}}`
	forged := token(t, jose.RS256, jose.JSONWebKey{Key: other, KeyID: "1"}, graphClaims())
	for _, test := range []struct {
		name, body, state string
		want              verify.Reason
	}{
		{"a plain notification without tokens", `{"value":[` + plain + `]}`, "state", ""},
		{"a rich one with its token", graphBody(t, rich, sign()), "state", ""},
		{"a token of version 1", graphBody(t, rich, sign("azp", nil, "appid", "0bf30f3b-4a52-48df-9a82-234910c4a086", "iss", "https://sts.windows.net/t-1/")), "state", ""},
		{"a rich one without a token", graphBody(t, rich), "state", verify.MissingSignature},
		{"one good token and one forged", graphBody(t, rich, sign(), forged), "state", verify.SignatureMismatch},
		{"a token for another application", graphBody(t, rich, sign("aud", "app-2")), "state", verify.ClaimMismatch},
		{"a token made by another application", graphBody(t, rich, sign("azp", "app-1")), "state", verify.ClaimMismatch},
		{"a stranger beside the publisher", graphBody(t, rich, sign("azp", "app-1", "appid", "0bf30f3b-4a52-48df-9a82-234910c4a086")), "state", verify.ClaimMismatch},
		{"an issuer of another tenant", graphBody(t, rich, sign("tid", "t-2")), "state", verify.ClaimMismatch},
		{"a tenant that is a path", graphBody(t, rich, sign("tid", "t/x", "iss", "https://login.microsoftonline.com/t/x/v2.0")), "state", verify.ClaimMismatch},
		{"an expired token", graphBody(t, rich, sign("exp", codedNow.Unix()-1)), "state", verify.Expired},
		{"a wrong clientState", `{"value":[` + plain + `]}`, "other", verify.TokenMismatch},
		{"a second notification with a wrong clientState", `{"value":[` + plain + `,{"clientState":"x"}]}`, "state", verify.TokenMismatch},
		{"a second notification without one", `{"value":[` + plain + `,{}]}`, "state", verify.MissingSignature},
		{"a clientState that is a number", `{"value":[{"clientState":1}]}`, "1", verify.MissingSignature},
		{"no notifications", `{"value":[]}`, "state", verify.MissingSignature},
		{"two lists", strings.Replace(graphBody(t, plain), `{`, `{"Value":[],`, 1), "state", verify.MissingSignature},
		{"resource data in another case", `{"value":[{"clientState":"state","EncryptedContent":{}}]}`, "state", verify.MissingSignature},
		{"no JSON", "x", "state", verify.MissingSignature},
		{"no secret", `{"value":[{"clientState":""}]}`, "", verify.EmptySecret},
		{"tokens that are a text", `{"value":[` + plain + `],"validationTokens":"x"}`, "state", verify.MalformedSignature},
		{"a token that is a number", `{"value":[` + plain + `],"validationTokens":[1]}`, "state", verify.MalformedSignature},
		{"too many tokens", graphBody(t, rich, make([]string, 65)...), "state", verify.MalformedSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(graphProfile())
			require.NoError(t, err)
			options := verify.Options{Now: codedNow, Fetch: store.fetch}
			requireReason(t, test.want, checker.Verify(codedRequest("", test.body), secretsOf(test.state), options))
		})
	}
}

// TestGraphWithoutSecrets needs a token for every request, since nothing else vouches for it.
func TestGraphWithoutSecrets(t *testing.T) {
	key := newRSA(t, 2048)
	store := &keyStore{keys: []jose.JSONWebKey{{Key: &key.PublicKey}}}
	good := token(t, jose.RS256, key, graphClaims())
	for _, test := range []struct {
		name, body string
		want       verify.Reason
	}{
		{"a good token", graphBody(t, `{"id":"1"}`, good), ""},
		{"no token", `{"value":[{"id":"1"}]}`, verify.MissingSignature},
		{"an empty list", graphBody(t, `{"id":"1"}`), verify.MissingSignature},
		{"a token changed", graphBody(t, `{"id":"1"}`, good[:len(good)-6]+"AAAAAA"), verify.SignatureMismatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(graphProfile())
			require.NoError(t, err)
			options := verify.Options{Now: codedNow, Fetch: store.fetch}
			requireReason(t, test.want, checker.Verify(codedRequest("", test.body), nil, options))
		})
	}
}

// TestGraphWithoutApplicationID refuses tokens, and takes plain notifications.
func TestGraphWithoutApplicationID(t *testing.T) {
	key := newRSA(t, 2048)
	store := &keyStore{keys: []jose.JSONWebKey{{Key: &key.PublicKey}}}
	profile := graphProfile()
	profile.Params = nil
	checker, err := coded.NewTestCoded(profile)
	require.NoError(t, err)
	options := verify.Options{Now: codedNow, Fetch: store.fetch}
	const plain = `{"clientState":"state"}`
	require.NoError(t, checker.Verify(codedRequest("", `{"value":[`+plain+`]}`), secretsOf("state"), options))
	body := graphBody(t, plain, token(t, jose.RS256, key, graphClaims()))
	requireReason(t, verify.ClaimMismatch, checker.Verify(codedRequest("", body), secretsOf("state"), options))
}
