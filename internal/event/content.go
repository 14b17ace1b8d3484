package event

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/url"
)

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
