package verify_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

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
			coded, err := verify.NewTestCoded(graphProfile())
			require.NoError(t, err)
			options := verify.Options{Now: codedNow, Fetch: store.fetch}
			requireReason(t, test.want, coded.Verify(codedRequest("", test.body), secretsOf(test.state), options))
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
			coded, err := verify.NewTestCoded(graphProfile())
			require.NoError(t, err)
			options := verify.Options{Now: codedNow, Fetch: store.fetch}
			requireReason(t, test.want, coded.Verify(codedRequest("", test.body), nil, options))
		})
	}
}

// TestGraphWithoutApplicationID refuses tokens, and takes plain notifications.
func TestGraphWithoutApplicationID(t *testing.T) {
	key := newRSA(t, 2048)
	store := &keyStore{keys: []jose.JSONWebKey{{Key: &key.PublicKey}}}
	profile := graphProfile()
	profile.Params = nil
	coded, err := verify.NewTestCoded(profile)
	require.NoError(t, err)
	options := verify.Options{Now: codedNow, Fetch: store.fetch}
	const plain = `{"clientState":"state"}`
	require.NoError(t, coded.Verify(codedRequest("", `{"value":[`+plain+`]}`), secretsOf("state"), options))
	body := graphBody(t, plain, token(t, jose.RS256, key, graphClaims()))
	requireReason(t, verify.ClaimMismatch, coded.Verify(codedRequest("", body), secretsOf("state"), options))
}
