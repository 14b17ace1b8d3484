package coded

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/grapnel/grapnel/internal/verify"
)

const (
	// maxJWKs bounds the keys of one key set.
	maxJWKs = 64
	// jwksFresh is how long a key set is used before it is read again, so a withdrawn key lives at
	// most that long.
	jwksFresh = time.Hour
	// jwksStale is how long a key set is used when it cannot be read again.
	jwksStale = 24 * time.Hour
)

// open checks the token's signature and returns its payload, or a *Failure.
func (j *jwt) open(token *jose.JSONWebSignature, secrets []verify.Secret, o verify.Options) ([]byte, error) {
	keys, err := j.candidates(token, secrets, o)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if payload, err := token.Verify(key); err == nil {
			return payload, nil
		}
	}
	return nil, verify.Refuse(verify.SignatureMismatch, "the token's signature fits no key")
}

// candidates returns the keys that may have signed the token.
func (j *jwt) candidates(token *jose.JSONWebSignature, secrets []verify.Secret, o verify.Options) ([]any, error) {
	header := token.Signatures[0].Header
	if j.jwks != "" && len(o.Certificate) > 0 {
		chain, err := parseCertificates(o.Certificate)
		if err != nil {
			return nil, verify.Refuse(verify.UnknownKey, "the certificate is not usable")
		}
		return fittingKeys([]jose.JSONWebKey{{Key: chain[0].PublicKey}}, header), nil
	}
	if j.jwks != "" {
		return j.remoteKeys(header, o)
	}
	texts, err := activeKeys(secrets, o)
	if err != nil {
		return nil, err
	}
	var keys []any
	for _, text := range texts {
		if j.symmetric {
			keys = append(keys, jose.OpaqueVerifier(hmacKey(text)))
			continue
		}
		public, err := publicKeys(text)
		if err != nil {
			return nil, verify.Refuse(verify.UnknownKey, "a secret of the source is neither a PEM public key nor a JWK")
		}
		keys = append(keys, fittingKeys(public, header)...)
	}
	if len(keys) == 0 {
		return nil, verify.Refuse(verify.UnknownKey, "no key of the source fits the token's key ID and algorithm")
	}
	return keys, nil
}

// remoteKeys returns the keys of the key set that fit the token. When none does, the set is read
// again, at most every 30 s, because the sender may have changed its keys.
func (j *jwt) remoteKeys(header jose.Header, o verify.Options) ([]any, error) {
	var seen time.Time
	for range 2 {
		doc, err := j.keys.get(o, j.jwks, seen)
		if err != nil {
			return nil, verify.Refuse(verify.Unavailable, "the key set could not be fetched")
		}
		if keys := fittingKeys(doc.value, header); len(keys) > 0 {
			return keys, nil
		}
		seen = doc.fetched
	}
	return nil, verify.Refuse(verify.UnknownKey, "the key set holds no key of the token's key ID and algorithm")
}

// fittingKeys returns the keys of the token's key ID and algorithm. Without a key ID in the token,
// or in a key that the source's owner gave, the algorithm decides.
func fittingKeys(keys []jose.JSONWebKey, header jose.Header) []any {
	var fit []any
	for _, key := range keys {
		named := header.KeyID == "" || key.KeyID == header.KeyID || key.KeyID == ""
		if named && (key.Algorithm == "" || key.Algorithm == header.Algorithm) && keySuits(key.Key, header.Algorithm) {
			fit = append(fit, key.Key)
		}
	}
	return fit
}

// keySuits reports whether a key is of the kind the algorithm needs.
func keySuits(key any, algorithm string) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm] == key.Curve.Params().Name
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	default:
		return false
	}
}

// parseJWKS reads a key set (RFC 7517). Keys that are not public, not for signatures, or of a kind
// we do not take are left out; a set with none left is refused.
func parseJWKS(_ string, document []byte, now time.Time) (remoteDoc[[]jose.JSONWebKey], error) {
	keys, err := keySet(document)
	if err != nil {
		return remoteDoc[[]jose.JSONWebKey]{}, fmt.Errorf("%w: %w", errDocument, err)
	}
	return remoteDoc[[]jose.JSONWebKey]{
		value: keys, fetched: now, fresh: now.Add(jwksFresh), dead: now.Add(jwksStale),
	}, nil
}

// keySet decodes the usable keys of a key set.
func keySet(document []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("decode the key set: %w", err)
	}
	if len(set.Keys) > maxJWKs {
		return nil, fmt.Errorf("the key set holds over %d keys", maxJWKs)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && usableKey(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set holds no usable key")
	}
	return keys, nil
}

// usableKey reports whether a key is a public one for signatures and of an acceptable size.
func usableKey(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		return bits >= minRSABits && bits <= maxRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return key.Valid()
	default:
		return false
	}
}

// CheckSecret implements verify.CodedSecrets.
func (j *jwt) CheckSecret(text string) error {
	if j.symmetric || j.options.JWKS != "" {
		return nil
	}
	if _, err := publicKeys(text); err != nil {
		return errors.New("the secret is no public key: give one in PEM (BEGIN PUBLIC KEY), a JWK or a key set")
	}
	return nil
}

// publicKeys reads a source's secret as a PEM public key, a JWK or a key set.
func publicKeys(text string) ([]jose.JSONWebKey, error) {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		key := jose.JSONWebKey{Key: public}
		if err != nil || !usableKey(key) {
			return nil, errors.New("the PEM block is not a usable public key")
		}
		return []jose.JSONWebKey{key}, nil
	}
	var key jose.JSONWebKey
	if key.UnmarshalJSON([]byte(text)) == nil && usableKey(key) {
		return []jose.JSONWebKey{key}, nil
	}
	return keySet([]byte(text))
}

// errSignature tells that no key fits a token's signature.
var errSignature = errors.New("the signature does not fit")

// hmacKey verifies HS signatures. The library's own verifier refuses keys shorter than the digest,
// as RFC 7518 asks of the one who makes the key; a receiver has to take the key its sender gave.
type hmacKey string

// VerifyPayload implements jose.OpaqueVerifier.
func (k hmacKey) VerifyPayload(payload, signature []byte, algorithm jose.SignatureAlgorithm) error {
	mac := k.sign(payload, algorithm)
	if mac == nil || !hmac.Equal(mac, signature) {
		return errSignature
	}
	return nil
}

// sign returns the HMAC of payload, or nil for another algorithm or an empty key.
func (k hmacKey) sign(payload []byte, algorithm jose.SignatureAlgorithm) []byte {
	digest, ok := map[jose.SignatureAlgorithm]func() hash.Hash{
		jose.HS256: sha256.New, jose.HS384: sha512.New384, jose.HS512: sha512.New,
	}[algorithm]
	if !ok || k == "" {
		return nil
	}
	mac := hmac.New(digest, []byte(k))
	mac.Write(payload)
	return mac.Sum(nil)
}
