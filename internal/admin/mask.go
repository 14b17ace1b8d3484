package admin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// secretWords are parts of names of headers that hold a secret, a signature or a credential.
func secretWords() []string {
	return []string{
		"auth", "cookie", "credential", "cert", "digest", "hash", "hmac", "jwt", "key", "pass", "secret", "session", "sig",
		"token",
	}
}

// schemes are prefixes that say how a signature or credential was made. They are not masked,
// because they help to find out why a request was refused.
func schemes() []string {
	return []string{
		"Basic ", "Bearer ", "Digest ", "Signature ", "HMAC ", "sha1=", "sha256=", "sha512=", "v0=", "v1=", "v1,", "v1a,", "t=",
	}
}

// mask returns the value of a header as it may be kept: of a secret one only its scheme and length.
func mask(h Header, secret []string) string {
	if !isSecret(h.Name, secret) {
		return h.Value
	}
	for _, s := range schemes() {
		if len(h.Value) >= len(s) && strings.EqualFold(h.Value[:len(s)], s) {
			return fmt.Sprintf("%s*** (%d bytes)", s, len(h.Value))
		}
	}
	return fmt.Sprintf("*** (%d bytes)", len(h.Value))
}

func isSecret(name string, secret []string) bool {
	same := func(s string) bool { return strings.EqualFold(s, name) }
	if slices.ContainsFunc(secret, same) {
		return true
	}
	lower := strings.ToLower(name)
	return slices.ContainsFunc(secretWords(), func(w string) bool { return strings.Contains(lower, w) })
}

// Excerpt is the first bytes of a body. In JSON it is text, or if it is not UTF-8, "base64:" and
// its base64.
type Excerpt []byte

const base64Prefix = "base64:"

// MarshalJSON implements json.Marshaler.
func (e Excerpt) MarshalJSON() ([]byte, error) {
	text := cutTornCharacter(e)
	if !utf8.Valid(text) || bytes.HasPrefix(text, []byte(base64Prefix)) {
		return json.Marshal(base64Prefix + base64.StdEncoding.EncodeToString(e))
	}
	return json.Marshal(string(text))
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Excerpt) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("the excerpt of a body is not text: %w", err)
	}
	encoded, ok := strings.CutPrefix(text, base64Prefix)
	if !ok {
		*e = Excerpt(text)
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return fmt.Errorf("the excerpt of a body is not base64: %w", err)
	}
	*e = raw
	return nil
}

// cutTornCharacter removes the last UTF-8 character if it is incomplete.
func cutTornCharacter(b []byte) []byte {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}
