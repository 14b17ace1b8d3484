package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"strings"
)

func (q *reading) expand(parts []replyPart, challenge, secret string, escaped bool) string {
	var b strings.Builder
	for i := range parts {
		p := &parts[i]
		text := p.text
		switch p.kind {
		case replyLiteral:
			b.WriteString(text)
			continue
		case replyChallenge:
			text = challenge
		case replyHMAC:
			m := hmac.New(sha256.New, []byte(secret))
			m.Write([]byte(challenge))
			text = encode(p.text, m.Sum(nil))
		case replyEd25519:
			if k, err := qqbotPrivate(secret); err == nil {
				text = encode(encHex, ed25519.Sign(k, []byte(challenge)))
			}
		default:
			text, _ = q.read(p.source)
		}
		if escaped {
			text = jsonEscape(text)
		}
		b.WriteString(text)
	}
	return b.String()
}

// jsonEscape writes a text as the inside of a JSON string.
func jsonEscape(s string) string {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(s) // A string in a buffer never fails.
	quoted := strings.TrimSuffix(b.String(), "\n")
	return quoted[1 : len(quoted)-1]
}

// isPlainToken is the shape a challenge must have before it is signed:
// [A-Za-z0-9_=.-]{1,256}. It excludes v0:{ts}:{body} and every JSON text, so
// that no answer of ours is a signature of an event.
func isPlainToken(s string) bool { return onlyHolds(s, "_=.-", 256) }

// isHeaderText is what we echo in a header: host names, origins and rates.
func isHeaderText(s string) bool { return onlyHolds(s, "_=.-:/*, ", 256) }

func onlyHolds(s, extra string, longest int) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= longest
}
