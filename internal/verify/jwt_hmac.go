package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"

	"github.com/go-jose/go-jose/v4"
)

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
