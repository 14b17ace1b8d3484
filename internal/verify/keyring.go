package verify

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // GitHub's old header, Intercom, Vercel and Twilio sign with it.
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"maps"
	"sync"
)

// key is a decoded secret. For HMAC it keeps keyed states, whose set-up costs
// as much as hashing a small body.
type key struct {
	err     error
	mac     []byte
	states  sync.Pool // of hash.Hash, keyed
	ed25519 ed25519.PublicKey
	ecdsa   *ecdsa.PublicKey
}

// maxKeys bounds the memory of decoded secrets; a source has a handful.
const maxKeys = 64

// key gives the decoded form of a secret, from memory if it can.
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

// hashOf is the hash function of an HMAC or plain hash algorithm.
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

// state is a keyed HMAC, or a plain hash, ready to be written to.
func (v *Verifier) state(k *key) hash.Hash {
	if h, ok := k.states.Get().(hash.Hash); ok {
		return h
	}
	if v.isHMAC() {
		return hmac.New(v.newHash, k.mac)
	}
	return v.newHash()
}

// release gives a state back for the next request.
func (k *key) release(h hash.Hash) {
	h.Reset()
	k.states.Put(h)
}
