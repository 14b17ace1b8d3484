package provider

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/grapnel/grapnel/internal/verify"
)

// KeyPair is a secret as the sender has it, to sign, and as the receiver has it, to verify. The
// two are the same text, except where a scheme signs with a private key.
type KeyPair struct{ Signs, Verifies string }

// NewKeyPair makes a random secret in the form that a profile asks for.
func NewKeyPair(p verify.Profile) (KeyPair, error) {
	var m keyMaker
	_, _ = rand.Read(m.seed[:]) // It never fails.
	return m.pair(p)
}

// keyMaker makes keys of any form from a seed: the same seed gives the same key. An RSA key is
// given to it, or made at random.
type keyMaker struct {
	seed [ed25519.SeedSize]byte
	rsa  *rsa.PrivateKey
}

// pair makes a secret in the form that a profile asks for.
func (m keyMaker) pair(p verify.Profile) (KeyPair, error) {
	seed := m.seed[:]
	private := ed25519.NewKeyFromSeed(seed)
	public, _ := private.Public().(ed25519.PublicKey)
	b64 := base64.StdEncoding.EncodeToString
	same := func(s string) (KeyPair, error) { return KeyPair{s, s}, nil }
	asymmetric := p.Algorithm == "ed25519"
	switch {
	case p.Algorithm == "basic":
		return same("user:" + hex.EncodeToString(seed))
	case p.Algorithm == "ecdsa-p256-sha256":
		return m.ecdsaPair()
	case signsByKey(p):
		return m.senderPair(p, private)
	case p.Key == "whsec":
		return same("whsec_" + b64(seed))
	case p.Key == "whpk":
		return KeyPair{"whsk_" + b64(private), "whpk_" + b64(public)}, nil
	case p.Key == "hex" && asymmetric:
		return KeyPair{hex.EncodeToString(seed), hex.EncodeToString(public)}, nil
	case p.Key == "base64" && asymmetric:
		return KeyPair{b64(seed), b64(public)}, nil
	case p.Key == "hex":
		return same(hex.EncodeToString(seed))
	case p.Key == "base64url":
		return same(base64.RawURLEncoding.EncodeToString(seed))
	default:
		return same(b64(seed)[:40])
	}
}

// signsByKey tells whether a coded scheme signs with a private key.
func signsByKey(p verify.Profile) bool {
	return p.Algorithm == "sns" || p.Algorithm == "paypal" || p.JWT != nil && !strings.HasPrefix(p.JWT.Algorithms[0], "HS")
}

// senderPair makes the pair of such a scheme: Ed25519 if the scheme takes that, else RSA.
func (m keyMaker) senderPair(p verify.Profile, private ed25519.PrivateKey) (KeyPair, error) {
	if p.JWT != nil && p.JWT.JWKS == "" && slices.Contains(p.JWT.Algorithms, "EdDSA") {
		return inPEM(private, private.Public())
	}
	key := m.rsa
	if key == nil {
		var err error
		if key, err = rsa.GenerateKey(rand.Reader, rsaBits); err != nil {
			return KeyPair{}, fmt.Errorf("make a key: %w", err)
		}
	}
	pair, err := inPEM(key, &key.PublicKey)
	if p.Algorithm == "paypal" {
		pair.Verifies = "8PT597110X687430LKGECATA" // The ID of a webhook, which is all that its owner gives.
	}
	return pair, err
}

// rsaBits is the least size of an RSA key that verifiers take.
const rsaBits = 2048

// inPEM writes a private key and its public key as PEM.
func inPEM(private, public any) (KeyPair, error) {
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return KeyPair{}, fmt.Errorf("write a private key: %w", err)
	}
	known, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return KeyPair{}, fmt.Errorf("write a public key: %w", err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return KeyPair{text("PRIVATE KEY", secret), text("PUBLIC KEY", known)}, nil
}

func (m keyMaker) ecdsaPair() (KeyPair, error) {
	scalar := sha256.Sum256(m.seed[:])
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
	for err != nil { // Of 2³² numbers one is too large.
		scalar = sha256.Sum256(scalar[:])
		k, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return KeyPair{}, fmt.Errorf("write a private key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		return KeyPair{}, fmt.Errorf("write a public key: %w", err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return KeyPair{b64(private), b64(public)}, nil
}
