// Package secret holds texts that must not be shown: whatever prints, encodes or
// logs one says only whether it is set.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that no formatting, encoding or logging shows. The zero
// value is a secret that is not set.
type Secret struct {
	// text is behind a pointer because fmt prints the fields of an unexported
	// struct member without asking its methods: an address is all it finds.
	text *string
}

// New hides a text.
func New(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal is the text itself, for the code that signs or verifies with it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet tells whether there is a text.
func (s Secret) IsSet() bool { return s.text != nil }

// String is "set" or "not set".
func (s Secret) String() string {
	if s.IsSet() {
		return "set"
	}
	return "not set"
}

// GoString is what %#v prints.
func (s Secret) GoString() string { return "secret.Secret(" + s.String() + ")" }

// Format masks the secret whatever the verb, %x and %d included.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		_, _ = io.WriteString(f, s.GoString())
		return
	}
	_, _ = io.WriteString(f, s.String())
}

// MarshalText masks the secret in JSON, YAML and every text encoding.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON masks the secret.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// LogValue masks the secret in structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// File is a file that is named in the place of its text. The zero value is none.
type File struct {
	// Path is where it is.
	Path string
	// Content is what it held when it was last read.
	Content Secret
}
