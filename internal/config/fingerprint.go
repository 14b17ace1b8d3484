package config

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"sync"
)

// fingerprintRounds makes each guess at a secret by way of a fingerprint cost
// some hundredths of a second.
const fingerprintRounds = 100_000

// Fingerprint is twelve hex digits that differ when the resolved configuration
// does, secrets included, and are the same in every process that has the same.
// Comments, order and ways of writing do not count. It is slow to make, so that
// it is no help in guessing a secret, and made once.
func (c *Config) Fingerprint() string { return c.read.fingerprint(c) }

// fingerprints makes a configuration's fingerprint when it is first asked for.
type fingerprints struct {
	once sync.Once
	text string
}

func (f *fingerprints) fingerprint(c *Config) string {
	f.once.Do(func() {
		key, err := pbkdf2.Key(sha256.New, c.canonical(), []byte("grapnel configuration"), fingerprintRounds, 6)
		if err == nil {
			f.text = hex.EncodeToString(key)
		}
	})
	return f.text
}

// canonical is the configuration as one text. Encoding masks secrets, so they
// are added by path; the profiles, which it leaves out, stand beside them.
func (c *Config) canonical() string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	write := func(v any) { _ = e.Encode(v) } // Of types that always encode.
	write(c)
	for _, path := range sortedKeys(c.read.secrets) {
		write([]string{path, c.read.secrets[path].Reveal()})
	}
	for _, name := range sortedKeys(c.Sources) {
		write(c.Sources[name].Profile())
	}
	return b.String()
}
