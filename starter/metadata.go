package starter

import (
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/event"
)

// maxSummaryBytes is just below the bytes of the longest summary that Temporal takes.
const maxSummaryBytes = 390

// searchAttributes gives the search attributes of an event. PostgreSQL's visibility store
// silently loses a record with a value that it can't hold, so empty and unreadable values are
// left out.
func searchAttributes(e event.Event) temporal.SearchAttributes {
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

// staticDetails gives what the Web UI shows of an event, in Markdown.
func staticDetails(e event.Event) string {
	var b strings.Builder
	b.Grow(detailsBytes)
	row := func(name, value string) {
		if value != "" {
			b.WriteString("- **" + name + "**: ")
			event.WriteMarkdown(&b, event.Attribute(value))
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

// detailsBytes is the usual length of these details.
const detailsBytes = 512

// maxText is how many bytes an event keeps of each text of its sender. The texts travel with the
// body, and Temporal bounds both together.
const maxText = 4 << 10

// writableTime gives a time if JSON can hold it, else the zero time: a sender may write any time.
func writableTime(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}
