package coded_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

const jwksAt = "https://www.googleapis.com/oauth2/v3/certs"

// keyStore is a key set that can be changed, and counts how often it was read.
type keyStore struct {
	keys  []jose.JSONWebKey
	err   error
	reads int
}

// fetch is a verify.Fetch of the key set.
func (k *keyStore) fetch(_ context.Context, url string) ([]byte, error) {
	k.reads++
	if url != jwksAt {
		return nil, errors.New("another address was asked for")
	}
	document, err := json.Marshal(jose.JSONWebKeySet{Keys: k.keys})
	return document, errors.Join(err, k.err)
}

// jwksProfile is Google Pub/Sub's profile with the algorithms given.
func jwksProfile(algorithms ...string) verify.Profile {
	profile := hsProfile(algorithms...)
	profile.JWT.JWKS = jwksAt
	return profile
}

// bearer makes a request with a token signed by key under a key ID; changes are those of
// goodClaims.
func bearer(t *testing.T, algorithm jose.SignatureAlgorithm, key any, id string, changes ...any) *verify.Request {
	t.Helper()
	claims := goodClaims(changes...)
	return codedRequest("", "", "Authorization", "Bearer "+token(t, algorithm, jose.JSONWebKey{Key: key, KeyID: id}, claims))
}

// TestJWKSKeys judges tokens by the keys of a key set.
func TestJWKSKeys(t *testing.T) {
	first, second, weak := newRSA(t, 2048), newRSA(t, 2048), newRSA(t, 1024)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&first.PublicKey)
	require.NoError(t, err)
	store := &keyStore{keys: []jose.JSONWebKey{
		{Key: &first.PublicKey, KeyID: "1", Algorithm: "RS256", Use: "sig"},
		{Key: &second.PublicKey, KeyID: "2", Use: "enc"},
		{Key: &second.PublicKey, KeyID: "3", Algorithm: "RS512"},
		{Key: &weak.PublicKey, KeyID: "4"},
		{Key: &curve.PublicKey, KeyID: "5"},
		{Key: edwards.Public(), KeyID: "6"},
		{Key: []byte(hsSecret), KeyID: "7"},
		{Key: second, KeyID: "8"},
	}}
	for _, test := range []struct {
		name    string
		request *verify.Request
		want    verify.Reason
	}{
		{"the key of its ID", bearer(t, jose.RS256, first, "1"), ""},
		{"no ID", bearer(t, jose.RS256, first, ""), ""},
		{"a key of a curve", bearer(t, jose.ES256, curve, "5"), ""},
		{"an Edwards key", bearer(t, jose.EdDSA, edwards, "6"), ""},
		{"another key under the ID", bearer(t, jose.RS256, second, "1"), verify.SignatureMismatch},
		{"a key for encryption", bearer(t, jose.RS256, second, "2"), verify.UnknownKey},
		{"a key for another algorithm", bearer(t, jose.RS256, second, "3"), verify.UnknownKey},
		{"a key that is too short", bearer(t, jose.RS256, weak, "4"), verify.UnknownKey},
		{"an RSA token with the ID of a curve", bearer(t, jose.RS256, first, "5"), verify.UnknownKey},
		{"an unknown ID", bearer(t, jose.RS256, first, "9"), verify.UnknownKey},
		{"a private key of the set", bearer(t, jose.RS256, second, "8"), verify.UnknownKey},
		{"the secret of the set", bearer(t, jose.HS256, []byte(hsSecret), "7"), verify.UnsupportedAlgorithm},
		{"the public key as the secret of an HMAC", bearer(t, jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "1"), verify.UnsupportedAlgorithm},
	} {
		t.Run(test.name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(jwksProfile("RS256", "ES256", "EdDSA"))
			require.NoError(t, err)
			requireReason(t, test.want, checker.Verify(test.request, nil, verify.Options{Now: codedNow, Fetch: store.fetch}))
		})
	}
}

// TestJWKSRotation reads the key set again for an unknown key ID, but not for every request.
func TestJWKSRotation(t *testing.T) {
	first, second := newRSA(t, 2048), newRSA(t, 2048)
	store, now := &keyStore{keys: []jose.JSONWebKey{{Key: &first.PublicKey, KeyID: "1"}}}, codedNow
	checker, err := coded.NewTestCoded(jwksProfile("RS256"))
	require.NoError(t, err)
	late := codedNow.Add(1000 * time.Hour).Unix()
	one, two := bearer(t, jose.RS256, first, "1", "exp", late), bearer(t, jose.RS256, second, "2", "exp", late)
	judge := func(request *verify.Request, want verify.Reason, reads int) {
		t.Helper()
		requireReason(t, want, checker.Verify(request, nil, verify.Options{Now: now, Fetch: store.fetch}))
		require.Equal(t, reads, store.reads)
	}
	judge(one, "", 1)
	judge(two, verify.UnknownKey, 1) // The set has just been read.
	now = now.Add(coded.RefetchAfter)
	judge(two, verify.UnknownKey, 2)
	for range 100 {
		judge(two, verify.UnknownKey, 2)
	}
	store.keys = append(store.keys, jose.JSONWebKey{Key: &second.PublicKey, KeyID: "2"})
	now = now.Add(coded.RefetchAfter)
	judge(two, "", 3)
	judge(one, "", 3)
	store.keys = store.keys[1:]
	now = now.Add(coded.JWKSFresh)
	judge(two, "", 4)
	judge(one, verify.UnknownKey, 4) // A withdrawn key no longer counts.
	store.err = errors.New("no route")
	now = now.Add(coded.JWKSFresh)
	judge(two, "", 5)                 // An old set is better than none,
	judge(one, verify.Unavailable, 5) // but does not prove that a key is unknown,
	now = now.Add(coded.JWKSStale)
	judge(two, verify.Unavailable, 6) // and not for ever.
}

// TestJWKSFetch judges a token by what the key server answers.
func TestJWKSFetch(t *testing.T) {
	key := newRSA(t, 2048)
	good, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "1"}}})
	require.NoError(t, err)
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   verify.Reason
	}{
		{"the key set", serve(good), ""},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, verify.Unavailable},
		{"no JSON", serve([]byte("<html>")), verify.Unavailable},
		{"no keys", serve([]byte(`{"keys":[]}`)), verify.Unavailable},
		{"a giant", serve(append(make([]byte, coded.MaxRemoteBytes), good...)), verify.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newRemote(t, test.answer)
			checker, err := coded.NewTestCoded(jwksProfile("RS256"))
			require.NoError(t, err)
			requireReason(t, test.want, checker.Verify(bearer(t, jose.RS256, key, "1"), nil, server.options()))
			require.Equal(t, int64(1), server.hits.Load())
			require.Equal(t, "www.googleapis.com/oauth2/v3/certs", <-server.paths)
		})
	}
}

// TestJWTPublicKeyAsSecret takes public keys a source's owner pasted, as PEM, JWK or key set.
func TestJWTPublicKeyAsSecret(t *testing.T) {
	key, other := newRSA(t, 2048), newRSA(t, 2048)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	asPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	asJWK, err := json.Marshal(jose.JSONWebKey{Key: &key.PublicKey, KeyID: "1"})
	require.NoError(t, err)
	asSet := `{"keys":[` + string(asJWK) + `]}`
	private, err := json.Marshal(jose.JSONWebKey{Key: key})
	require.NoError(t, err)
	for _, test := range []struct {
		name, secret string
		request      *verify.Request
		want         verify.Reason
	}{
		{"a PEM public key", asPEM, bearer(t, jose.RS256, key, "any"), ""},
		{"a JWK", string(asJWK), bearer(t, jose.RS256, key, "1"), ""},
		{"a key set", asSet, bearer(t, jose.RS256, key, "1"), ""},
		{"another key ID", string(asJWK), bearer(t, jose.RS256, key, "2"), verify.UnknownKey},
		{"another key", asPEM, bearer(t, jose.RS256, other, "1"), verify.SignatureMismatch},
		{"the PEM as the secret of an HMAC", asPEM, bearer(t, jose.HS256, []byte(asPEM), "1"), verify.UnsupportedAlgorithm},
		{"a private key", string(private), bearer(t, jose.RS256, key, "1"), verify.UnknownKey},
		{"a text", "secret", bearer(t, jose.RS256, key, "1"), verify.UnknownKey},
		{"nothing", "", bearer(t, jose.RS256, key, "1"), verify.EmptySecret},
	} {
		t.Run(test.name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(hsProfile("RS256"))
			require.NoError(t, err)
			requireReason(t, test.want, checker.Verify(test.request, secretsOf(test.secret), verify.Options{Now: codedNow}))
		})
	}
}
