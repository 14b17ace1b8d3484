// Package event holds the words that every part of grapnel shares: the event
// itself, its ID, and the plan by which it is handled. It imports the standard
// library only.
package event

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Event is one thing that happened, as its source sent it: the attributes that
// CloudEvents 1.0 names. The body travels beside it, byte for byte, and is
// never part of this struct.
type Event struct {
	// ID is the event ID: 64 lower-case hex digits, also the workflow ID.
	ID string `json:"id"`
	// Source is the name of the door the event came in by.
	Source string `json:"source"`
	// Type is the sender's own name for what happened; may be empty.
	Type string `json:"type,omitempty"`
	// SenderID is the sender's own event id; empty when it sends none.
	SenderID string `json:"senderId,omitempty"`
	// Subject is what the event is about, in the sender's words.
	Subject string `json:"subject,omitempty"`
	// Time is when it happened, by the sender's clock; zero when unknown.
	Time time.Time `json:"time,omitzero"`
	// DataContentType is the media type of the body as sent.
	DataContentType string `json:"datacontenttype,omitempty"`
	// DataContentEncoding is the coding of the body as sent, gzip for instance; empty
	// where it has none.
	DataContentEncoding string `json:"datacontentencoding,omitempty"`
	// Headers are those of the sender's headers that its source keeps, by their names in
	// canonical form. None holds a credential or a signature.
	Headers map[string]string `json:"headers,omitempty"`
	// Received is when the receiver had read the body, by its own clock.
	Received time.Time `json:"received,omitzero"`
	// Traceparent and Tracestate are the event's place in a trace, as W3C Trace Context
	// and CloudEvents' extension for it write them: the sender's, or the receiver's own
	// where traces are exported. Empty where there is none.
	Traceparent string `json:"traceparent,omitempty"`
	Tracestate  string `json:"tracestate,omitempty"`
	// Corrected is when an operator replaced the body, for the routes that get it;
	// zero where it is the sender's.
	Corrected time.Time `json:"corrected,omitzero"`
}

// Name is source and type as routes and messages write them: "zoom/meeting.started".
func (e Event) Name() string { return e.Source + "/" + e.Type }

// Summary is one line for people: `zoom meeting.started "Weekly Team Meeting"`.
func (e Event) Summary() string {
	s := e.Source + " " + e.Type
	if e.Subject != "" {
		s += " " + strconv.Quote(e.Subject)
	}
	return Clean(s, maxAttribute)
}

// maxAttribute is the length in characters up to which PostgreSQL's visibility
// store keeps a keyword; past it the whole record is lost without a word.
const maxAttribute = 255

// Attribute makes sender text fit for a search attribute: see Clean.
func Attribute(s string) string { return Clean(s, maxAttribute) }

// Clean makes sender text valid UTF-8 without control characters and cuts it
// to at most n characters.
func Clean(s string, n int) string {
	if isClean(s, n) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if n == 0 {
			break
		}
		if r == utf8.RuneError || unicode.IsControl(r) {
			r = '\uFFFD'
		}
		b.WriteRune(r)
		n--
	}
	return b.String()
}

// WriteMarkdown writes a sender's text so that none of its characters means anything to
// Markdown or HTML. Line breaks stay: see Clean.
func WriteMarkdown(b *strings.Builder, s string) {
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

// QueryValue writes a text as a value in a query of Temporal's lists. Two characters are replaced
// that Temporal takes in no query, as they are in the search attributes: NUL and what is no UTF-8.
func QueryValue(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\x00", "\uFFFD").Replace(strings.ToValidUTF8(s, "\uFFFD")) + `"`
}

// isClean tells whether s already is what Clean would make of it.
func isClean(s string, n int) bool {
	if len(s) > n {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Cut shortens s to n bytes, at a character's end.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// byteOrderMark is what some editors and senders put before UTF-8 (RFC 8259, section 8.1:
// a parser may ignore it).
const byteOrderMark = "\ufeff"

// formPayload is the field of a form that holds an event as JSON: GitHub's webhooks by
// default and Slack's interactivity.
const formPayload = "payload"

// JSON gives the JSON that a body of a media type holds: the body without a byte order
// mark, or the field payload of a form. Where a form holds no such thing, it gives the body.
func JSON(contentType string, body []byte) []byte {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return bytes.TrimPrefix(body, []byte(byteOrderMark))
	}
	form, err := url.ParseQuery(string(body))
	if held := form[formPayload]; err == nil && len(held) == 1 && json.Valid([]byte(held[0])) {
		return []byte(held[0])
	}
	return body
}

// Match tells whether s is of the pattern, in which * stands for any text, dots
// and slashes included, and everything else for itself.
func Match(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], next
	}
}

// MatchAny tells whether s is of one of the patterns.
func MatchAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if Match(p, s) {
			return true
		}
	}
	return false
}
