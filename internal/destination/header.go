package destination

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/secret"
)

// userAgent is the User-Agent of every request to a destination.
const userAgent = "grapnel"

// ownHeaders are the headers that every delivery sets itself. A configuration that set them would
// break the signature, the framing or the body's type.
func ownHeaders() []string {
	return []string{
		"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "Grapnel-Attempt", "Grapnel-Corrected", "Content-Type", "Content-Length",
		"Transfer-Encoding", "Content-Encoding", "Connection", "Trailer", "Te", "Upgrade", "Expect", "Host",
	}
}

func checkHeaders(headers map[string]secret.Secret) (http.Header, error) {
	h := http.Header{"User-Agent": {userAgent}}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		key := http.CanonicalHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			faults = append(faults, fmt.Errorf("%q is no header name", name))
		case !httpguts.ValidHeaderFieldValue(headers[name].Reveal()):
			faults = append(faults, fmt.Errorf("the value of header %s holds characters that no header may", name))
		case slices.Contains(ownHeaders(), key), strings.HasPrefix(key, "Ce-"):
			faults = append(faults, fmt.Errorf("header %s is set by the delivery itself, take it out", name))
		default:
			h.Set(key, headers[name].Reveal())
		}
	}
	return h, errors.Join(faults...)
}

// setAttributes writes the event's attributes as CloudEvents 1.0 has them in
// the binary content mode of its HTTP binding, section 3.1. The body's media
// type is Content-Type itself.
func setAttributes(h http.Header, e event.Event) {
	h.Set("Ce-Specversion", "1.0")
	h.Set("Ce-Id", encodeHeader(e.ID))
	h.Set("Ce-Source", encodeHeader(e.Source))
	// CloudEvents demands a type that is not empty.
	typ := e.Type
	if typ == "" {
		typ = "unknown"
	}
	h.Set("Ce-Type", encodeHeader(typ))
	if e.Subject != "" {
		h.Set("Ce-Subject", encodeHeader(e.Subject))
	}
	if !e.Time.IsZero() {
		h.Set("Ce-Time", e.Time.UTC().Format(time.RFC3339Nano))
	}
	if e.SenderID != "" {
		h.Set("Ce-Senderid", encodeHeader(e.SenderID))
	}
	if e.DataContentType != "" && httpguts.ValidHeaderFieldValue(e.DataContentType) {
		h.Set("Content-Type", e.DataContentType)
	}
	if e.DataContentEncoding != "" && httpguts.ValidHeaderFieldValue(e.DataContentEncoding) {
		h.Set("Content-Encoding", e.DataContentEncoding)
	}
}

// encodeHeader writes text for a header as section 3.1.3.2 of CloudEvents' HTTP
// binding has it: space, double quote, per cent and all that is not printable
// ASCII become the per cent form of their UTF-8 bytes.
func encodeHeader(s string) string {
	return percentEncode(s, func(r rune) bool {
		return r <= ' ' || r == '"' || r == '%' || r > '~'
	})
}

// webhookID is the ID by which a receiver recognises repeats: the same for every attempt, and
// another one for each route of an event. It holds no full stop, because Standard Webhooks signs
// it with a full stop behind it.
func webhookID(id, route string) string {
	return id + ":" + percentEncode(route, func(r rune) bool {
		return r <= ' ' || r == '"' || r == '%' || r > '~' || r == '.'
	})
}

func percentEncode(s string, special func(rune) bool) string {
	if strings.IndexFunc(s, special) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if !special(r) {
			b.WriteRune(r)
			continue
		}
		for _, c := range utf8.AppendRune(nil, r) {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
