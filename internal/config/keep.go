package config

import (
	"net/http"
	"slices"
	"strings"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/secret"
	"github.com/grapnel/grapnel/internal/verify"
)

const (
	// maxKept and maxKeptBytes bound the headers that an event keeps.
	maxKept      = 32
	maxKeptBytes = 8 << 10
)

// Kept gives the headers of a request that the source keeps, by their canonical names. Headers
// that hold a credential or a signature are left out; the name tells, or the value.
func (s *Source) Kept(h verify.Header, m *secret.Masker) map[string]string {
	if len(s.KeepHeaders) == 0 {
		return nil
	}
	hidden := slices.Clone(s.Profile().Signature.Headers)
	if s.Token != nil {
		hidden = append(hidden, s.Token.Header)
	}
	patterns := make([]string, len(s.KeepHeaders))
	for i, pattern := range s.KeepHeaders {
		patterns[i] = http.CanonicalHeaderKey(pattern)
	}
	var kept map[string]string
	size := 0
	for _, name := range h.Names() {
		name := http.CanonicalHeaderKey(name)
		secret := slices.ContainsFunc(hidden, func(s string) bool { return strings.EqualFold(s, name) })
		if secret || IsCredentialHeader(name) || !event.MatchAny(patterns, name) {
			continue
		}
		value := strings.ToValidUTF8(strings.Join(h.Values(name), ", "), "\ufffd")
		if size += len(name) + len(value); size > maxKeptBytes || len(kept) == maxKept {
			break
		}
		if m.Mask(value) != value {
			continue
		}
		if kept == nil {
			kept = map[string]string{}
		}
		kept[name] = value
	}
	return kept
}
