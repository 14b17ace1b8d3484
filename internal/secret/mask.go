package secret

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
)

// Masker hides known secrets in texts, as they are and in the forms in which they travel:
// hex, base64 at any place of a longer text, and percent-encoded. A nil one hides nothing.
type Masker struct {
	replacer *strings.Replacer
	longest  int
}

// shortestHidden is the length in bytes from which a secret is hidden: a shorter one stands in
// any text by chance.
const shortestHidden = 6

// masked is what stands in a secret's place.
const masked = "***"

// NewMasker makes a masker of secrets.
func NewMasker(secrets ...string) *Masker {
	m := &Masker{}
	var pairs []string
	for _, s := range secrets {
		for _, text := range []string{s, strings.TrimPrefix(s, "whsec_")} {
			if len(text) < shortestHidden {
				continue
			}
			for _, form := range writtenForms(text) {
				pairs = append(pairs, form, masked)
				m.longest = max(m.longest, len(form))
			}
		}
	}
	m.replacer = strings.NewReplacer(pairs...)
	return m
}

// writtenForms are the ways in which a text can be written.
func writtenForms(text string) []string {
	lower := hex.EncodeToString([]byte(text))
	all := []string{text, lower, strings.ToUpper(lower), url.QueryEscape(text), url.PathEscape(text)}
	for shift := range 3 {
		// Where it begins within a group of three bytes, and which characters are all its own.
		padded := append(make([]byte, shift), text...)
		from, to := (shift*8+5)/6, len(padded)*8/6
		all = append(all, base64.RawStdEncoding.EncodeToString(padded)[from:to], base64.RawURLEncoding.EncodeToString(padded)[from:to])
	}
	return all
}

// Mask gives a text with the secrets hidden.
func (m *Masker) Mask(text string) string {
	if m == nil {
		return text
	}
	return m.replacer.Replace(text)
}

// Longest is the length in bytes of the longest form of a secret: who cuts a text short
// cuts it so much later before it is masked.
func (m *Masker) Longest() int {
	if m == nil {
		return 0
	}
	return m.longest
}
