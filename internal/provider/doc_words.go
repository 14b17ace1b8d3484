package provider

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

func describeNeed(s verify.Setting, value string) string {
	switch {
	case s.Required:
		return " (needed)"
	case value != "":
		return " (default " + value + ")"
	default:
		return ""
	}
}

// describeSignature says where a signature stands and how it is made.
func describeSignature(p verify.Profile) string {
	s := p.Signature
	where := strings.Join(s.Headers, " or ")
	if s.Every {
		where = strings.Join(s.Headers, " and ")
	}
	for _, w := range []string{s.Pattern, s.From} {
		if w != "" && where != "" {
			where += " or "
		}
		where += w
	}
	if p.JWT != nil {
		where = p.JWT.From
	}
	text := p.Algorithm
	if where != "" {
		text += " in " + where
	}
	if p.Key != "" {
		text += ", key " + p.Key
	}
	switch {
	case s.Grammar == "kv":
		text += ", as " + strings.Join(s.Keys, "/") + "=..."
	case s.Grammar == "list":
		text += ", as " + strings.Join(s.Keys, "/") + ",..."
	case s.Prefix != "":
		text += ", after " + s.Prefix
	}
	if s.Encoding != "" {
		text += ", " + s.Encoding
	}
	return text
}

func describeContent(p verify.Profile) string {
	switch {
	case p.Content != "":
		return "`" + p.Content + "`"
	case slices.Contains([]string{"token", "bearer", "basic", "none"}, p.Algorithm):
		return "nothing"
	case strings.HasPrefix(p.Algorithm, "hmac-"), p.Algorithm == "ed25519":
		return "`{body}`"
	}
	if scheme, ok := coded.Schemes()[p.Algorithm]; ok && scheme.Traits(p).Signs != "" {
		return scheme.Traits(p).Signs
	}
	return "the sender's own rule"
}

func describeWindow(p verify.Profile) string {
	t := p.Timestamp
	if t.From == "" || t.Unchecked {
		return "none"
	}
	past, future := t.Past, t.Future
	if past == 0 {
		past = verify.DefaultTolerance
	}
	if future == 0 {
		future = verify.DefaultTolerance
	}
	if past == future {
		return shortDuration(past)
	}
	return shortDuration(past) + " past, " + shortDuration(future) + " future"
}

// shortDuration writes 10m0s as 10m.
func shortDuration(d time.Duration) string {
	if d%time.Minute == 0 {
		return strings.TrimSuffix(d.String(), "0s")
	}
	return d.String()
}

func describeHandshake(h verify.Handshake) string {
	when := "unsigned"
	if h.Signed {
		when = "signed"
	}
	method := h.Match.Method
	if method == "" {
		method = "POST"
	}
	return h.Name + ", " + when + " " + method
}

func describeDedupe(p verify.Profile) string {
	switch p.Dedupe {
	case "id":
		return "id"
	case "fields":
		var keys []string
		for _, f := range p.Fields {
			keys = append(keys, f.Key)
		}
		return "fields " + strings.Join(keys, ", ")
	case "":
		return "body" + describeRepeats(p)
	case "body":
		return "body" + describeRepeats(p)
	case "signed":
		return "all that is signed"
	default:
		return p.Dedupe
	}
}

// describeRepeats says after how long the same content counts as a new event.
func describeRepeats(p verify.Profile) string {
	if p.Again == 0 {
		return ""
	}
	return ", once more after " + shortDuration(p.Again)
}

func describeAck(a verify.Ack) string {
	var text string
	if a.Status != 0 {
		text = fmt.Sprintf("status %d", a.Status)
	}
	if a.Body != "" {
		text += ", body " + a.Body
	}
	if a.Reject != 0 {
		text += fmt.Sprintf(", %d for a wrong signature", a.Reject)
	}
	return strings.TrimPrefix(text, ", ")
}
