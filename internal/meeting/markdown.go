package meeting

import (
	"fmt"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/event"
)

// maxRows is the number of people that Markdown lists; the query has them all.
const maxRows = 50

// Markdown is the view as Temporal's Web UI shows it.
func (v View) Markdown() string {
	var b strings.Builder
	b.WriteString("### ")
	event.WriteMarkdown(&b, v.Title())
	fmt.Fprintf(&b, "\n\n%s", v.State)
	if !v.Started.IsZero() {
		fmt.Fprintf(&b, ", started %s", v.Started.Format(time.RFC3339))
	}
	if v.Duration != "" {
		fmt.Fprintf(&b, ", lasted %s", v.Duration)
	}
	fmt.Fprintf(&b, ", people: %s, recordings: %d\n", v.Count(), len(v.Recordings))
	if len(v.Attendance) > 0 {
		b.WriteString("\n| who | joined | left |\n|---|---|---|\n")
	}
	for _, a := range v.Attendance[:min(len(v.Attendance), maxRows)] {
		b.WriteString("| ")
		event.WriteMarkdown(&b, a.Name)
		fmt.Fprintf(&b, " | %s | %s |\n", clockTime(a.Joined[0]), clockTime(a.Left))
	}
	return b.String()
}

// Title is the topic, or what else the meeting can be called by.
func (v View) Title() string {
	switch {
	case v.Topic != "":
		return v.Topic
	case v.Number != "":
		return v.Number
	default:
		return v.ID
	}
}

// Count is the number of people, with a sign when it is estimated.
func (v View) Count() string {
	if v.Estimated {
		return fmt.Sprintf("~%d", v.People)
	}
	return fmt.Sprint(v.People)
}

// clockTime writes the time of day, and nothing for a time that is not known.
func clockTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.TimeOnly)
}
