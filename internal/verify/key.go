package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // GitHub's old header, Intercom, Vercel and Twilio sign with it.
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"maps"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// The kinds of keys: how the text of a secret becomes key bytes.
const (
	keyRaw       = "raw"
	keyHex       = "hex"
	keyBase64    = "base64"
	keyBase64URL = "base64url"
	keyWhsec     = "whsec"
	keyWhpk      = "whpk"
	keySPKI      = "spki"
	keyQQBot     = "qqbot"
)

var (
	errEmptyKey = errors.New("the secret is empty")
	errKey      = errors.New("the secret is not written as the profile's `key` says")
)

// CheckSecret tells what is wrong with the text of a secret: it is not written as the profile's
// key says, or something else was copied along with it. The error says how to mend it, and never
// holds the text. The configuration check calls this, because otherwise such a secret would be
// noticed only at the first event, as a wrong signature.
func (v *Verifier) CheckSecret(text string) error {
	if err := checkCopied(text, v.p.Algorithm); err != nil {
		return err
	}
	if c, ok := v.coded.(CodedSecrets); ok {
		return c.CheckSecret(text)
	}
	if v.coded != nil || v.token() || v.p.Algorithm == algNone {
		return nil
	}
	if err := v.newKey(text).err; err != nil {
		return fmt.Errorf("%w (%s); copy it again from the sender, whole", err, v.p.Key)
	}
	return nil
}

// pastedHeader matches a secret that was copied with the name of a header before it.
var pastedHeader = regexp.MustCompile(`^(?i:authorization|x-[a-z0-9-]+|[a-z0-9-]*(signature|token|secret|key)[a-z0-9-]*)\s*:\s`)

// checkCopied looks for text that was copied along with a secret. White space inside a secret is
// allowed: GitHub's own example has some.
func checkCopied(text, algorithm string) error {
	trimmed := strings.TrimSpace(text)
	isPEM := strings.HasPrefix(trimmed, "-----BEGIN ")
	switch quoted := len(trimmed) > 1 && strings.ContainsAny(trimmed[:1], "\"'`") && trimmed[0] == trimmed[len(trimmed)-1]; {
	case trimmed == "":
		return errEmptyKey
	case trimmed != text && !isPEM:
		return errors.New("the secret begins or ends with white space, which the sender's own has not; remove it")
	case quoted:
		return errors.New("the secret stands in quotes of its own, which would be part of it; remove them")
	case strings.ContainsFunc(text, unicode.IsControl) && !isPEM && !strings.HasPrefix(trimmed, "{"):
		return errors.New("the secret holds a line break or another control character; copy it again, alone")
	case pastedHeader.MatchString(text):
		return errors.New("the secret has the name of a header before it; leave only what follows the colon")
	case algorithm == algBearer && strings.HasPrefix(strings.ToLower(text), "bearer "):
		return errors.New("the secret is the token alone; remove the word Bearer")
	case algorithm == algBasic && !strings.Contains(text, ":"):
		return errors.New("Basic credentials are written as user:password")
	}
	return nil
}

// decodeKey decodes the text of a symmetric secret, or of a public key.
func decodeKey(kind, text string) ([]byte, error) {
	var b []byte
	var err error
	switch kind {
	case keyHex:
		b, err = hex.DecodeString(text)
	case keyBase64:
		b, err = decodeBase64(text)
	case keyBase64URL:
		b, err = base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
	case keyWhsec:
		b, err = DecodeWhsec(text)
	case keyWhpk:
		b, err = decodeBase64(strings.TrimPrefix(text, "whpk_"))
	case keySPKI:
		b, err = decodeDERText(text)
	case keyQQBot:
		b, err = qqbotPublic(text)
	default:
		b = []byte(text)
	}
	if err != nil {
		return nil, errKey // The decoders' own errors quote the text.
	}
	if len(b) == 0 {
		return nil, errEmptyKey
	}
	return b, nil
}

// WhsecPrefix begins a secret of Standard Webhooks.
const WhsecPrefix = "whsec_"

// DecodeWhsec reads a secret of Standard Webhooks: base64 with or without padding, and the prefix
// before it, which may be missing. The error does not quote the secret.
func DecodeWhsec(text string) ([]byte, error) {
	b, err := decodeBase64(strings.TrimPrefix(text, WhsecPrefix))
	if err != nil {
		return nil, errKey
	}
	return b, nil
}

// decodeBase64 reads base64 in the standard alphabet, with or without padding.
func decodeBase64(text string) ([]byte, error) {
	if len(text)%4 == 0 {
		return base64.StdEncoding.Strict().DecodeString(text)
	}
	return base64.RawStdEncoding.Strict().DecodeString(text)
}

// decodeDERText reads DER, written as bare base64 or as PEM.
func decodeDERText(text string) ([]byte, error) {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return block.Bytes, nil
	}
	return decodeBase64(strings.Join(strings.Fields(text), ""))
}

// qqbotPublic is the public key of a QQ bot. Tencent derives the key pair from
// the bot's secret: repeated, cut to 32 bytes, it is the seed (botgo,
// interaction/signature). A text of 64 hex digits is the public key itself.
func qqbotPublic(text string) ([]byte, error) {
	if len(text) == 2*ed25519.PublicKeySize {
		if b, err := hex.DecodeString(text); err == nil {
			return b, nil
		}
	}
	private, err := qqbotPrivate(text)
	if err != nil {
		return nil, err
	}
	return private[ed25519.SeedSize:], nil
}

func qqbotPrivate(text string) (ed25519.PrivateKey, error) {
	if text == "" {
		return nil, errEmptyKey
	}
	seed := bytes.Repeat([]byte(text), ed25519.SeedSize/len(text)+1)
	return ed25519.NewKeyFromSeed(seed[:ed25519.SeedSize]), nil
}

// publicEd25519 reads a public key.
func publicEd25519(kind, text string) (ed25519.PublicKey, error) {
	b, err := decodeKey(kind, text)
	if err != nil {
		return nil, err
	}
	if kind == keySPKI {
		parsed, err := x509.ParsePKIXPublicKey(b)
		if k, ok := parsed.(ed25519.PublicKey); ok && err == nil {
			return k, nil
		}
		return nil, errKey
	}
	if len(b) != ed25519.PublicKeySize {
		return nil, errKey
	}
	return b, nil
}

// privateEd25519 reads a private key that is written as a kind of public key is: a seed of 32
// bytes, a key of 64 bytes, or PKCS #8.
func privateEd25519(kind, text string) (ed25519.PrivateKey, error) {
	if kind == keyQQBot {
		return qqbotPrivate(text)
	}
	b, err := decodeKey(kind, strings.TrimPrefix(text, "whsk_"))
	if err != nil {
		return nil, err
	}
	switch {
	case kind == keySPKI:
		parsed, err := x509.ParsePKCS8PrivateKey(b)
		if k, ok := parsed.(ed25519.PrivateKey); ok && err == nil {
			return k, nil
		}
		return nil, errKey
	case len(b) == ed25519.SeedSize:
		return ed25519.NewKeyFromSeed(b), nil
	case len(b) == ed25519.PrivateKeySize:
		return ed25519.PrivateKey(b), nil
	default:
		return nil, errKey
	}
}

func publicECDSA(kind, text string) (*ecdsa.PublicKey, error) {
	b, err := decodeKey(kind, text)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKIXPublicKey(b)
	if k, ok := parsed.(*ecdsa.PublicKey); ok && err == nil && k.Curve == elliptic.P256() {
		return k, nil
	}
	return nil, errKey
}

func privateECDSA(kind, text string) (*ecdsa.PrivateKey, error) {
	b, err := decodeKey(kind, text)
	if err != nil {
		return nil, err
	}
	if parsed, err := x509.ParsePKCS8PrivateKey(b); err == nil {
		if k, ok := parsed.(*ecdsa.PrivateKey); ok {
			return k, nil
		}
	}
	k, err := x509.ParseECPrivateKey(b)
	if err != nil {
		return nil, errKey
	}
	return k, nil
}

// key is a decoded secret. For HMAC it keeps hashes that are keyed already, because keying one
// costs as much as hashing a small body.
type key struct {
	err     error
	mac     []byte
	states  sync.Pool // of hash.Hash, keyed
	ed25519 ed25519.PublicKey
	ecdsa   *ecdsa.PublicKey
}

// maxKeys bounds how many decoded secrets are kept; a source has a handful.
const maxKeys = 64

// key gives the decoded form of a secret, from the cache if it is there.
func (v *Verifier) key(text string) *key {
	known := v.keys.Load()
	if known != nil {
		if k, ok := (*known)[text]; ok {
			return k
		}
	}
	k := v.newKey(text)
	v.keysMu.Lock()
	defer v.keysMu.Unlock()
	grown := map[string]*key{text: k}
	if known = v.keys.Load(); known != nil && len(*known) < maxKeys {
		maps.Copy(grown, *known)
	}
	v.keys.Store(&grown)
	return k
}

func (v *Verifier) newKey(text string) *key {
	k := &key{}
	switch v.p.Algorithm {
	case algEd25519:
		k.ed25519, k.err = publicEd25519(v.p.Key, text)
	case algECDSA:
		k.ecdsa, k.err = publicECDSA(v.p.Key, text)
	default:
		k.mac, k.err = decodeKey(v.p.Key, text)
	}
	return k
}

// hashOf gives the hash function of an HMAC or plain hash algorithm; nil for other algorithms.
func hashOf(algorithm string) func() hash.Hash {
	switch algorithm {
	case algHMACSHA1, algSHA1:
		return sha1.New
	case algHMACSHA256, algSHA256:
		return sha256.New
	case algHMACSHA512, algSHA512:
		return sha512.New
	default:
		return nil
	}
}

// state gives a keyed HMAC or a plain hash, ready to be written to.
func (v *Verifier) state(k *key) hash.Hash {
	if h, ok := k.states.Get().(hash.Hash); ok {
		return h
	}
	if v.isHMAC() {
		return hmac.New(v.newHash, k.mac)
	}
	return v.newHash()
}

// release keeps a hash for the next request.
func (k *key) release(h hash.Hash) {
	h.Reset()
	k.states.Put(h)
}
