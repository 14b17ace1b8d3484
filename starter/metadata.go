package starter

import (
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/event"
)

// maxSummaryBytes is what the engine takes of a summary, less some room.
const maxSummaryBytes = 390

// attributes are by what people find an event. PostgreSQL's visibility store
// loses a record without a word when one of them is not as it likes it, so what
// is empty or unreadable is left out.
func attributes(e event.Event) temporal.SearchAttributes {
	set := make([]temporal.SearchAttributeUpdate, 0, 4)
	keyword := func(key, value string) {
		if value != "" {
			set = append(set, temporal.NewSearchAttributeKeyKeyword(key).ValueSet(event.Attribute(value)))
		}
	}
	keyword(event.AttributeSource, e.Source)
	keyword(event.AttributeType, e.Type)
	keyword(event.AttributeSubject, e.Subject)
	if t := e.Time.UTC(); t.Year() >= 1 && t.Year() <= 9999 && !t.IsZero() {
		set = append(set, temporal.NewSearchAttributeKeyTime(event.AttributeTime).ValueSet(t))
	}
	return temporal.NewSearchAttributes(set...)
}

// details are what the Web UI shows of an event, in Markdown.
func details(e event.Event) string {
	var b strings.Builder
	b.Grow(detailsBytes)
	row := func(name, value string) {
		if value != "" {
			b.WriteString("- **" + name + "**: ")
			escape(&b, event.Attribute(value))
			b.WriteByte('\n')
		}
	}
	row("source", e.Source)
	row("type", e.Type)
	row("subject", e.Subject)
	row("sender's id", e.SenderID)
	if !e.Time.IsZero() {
		row("happened", e.Time.UTC().Format(time.RFC3339Nano))
	}
	row("received", e.Received.UTC().Format(time.RFC3339Nano))
	row("content type", e.DataContentType)
	return b.String()
}

// detailsBytes is the usual length of details.
const detailsBytes = 512

// escape writes s without the meaning that Markdown or HTML gives to some
// characters.
func escape(b *strings.Builder, s string) {
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*_{}[]()#+-.!|>~\"':@/", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
}

// maxText is what an event carries of each of its sender's texts, in bytes: they
// travel beside the body, and both together must not be more than the engine
// takes.
const maxText = 4 << 10

// writable is a time as JSON can hold it, else none: the sender may write any.
func writable(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}
