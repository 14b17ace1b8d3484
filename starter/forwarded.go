package starter

import (
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
	"golang.org/x/net/http/httpguts"
)

// forwarded lists the hops of the Forwarded header, the nearest last. ok is false if the header
// does not follow RFC 7239.
func forwarded(h *fasthttp.RequestHeader) (hops []hop, ok bool) {
	lines := h.PeekAll("Forwarded")
	if len(lines) == 0 {
		return nil, true
	}
	text := make([]string, len(lines))
	for i, l := range lines {
		text[i] = string(l)
	}
	// Several lines of a list header make one list (RFC 9110, section 5.3).
	return parseForwarded(strings.Join(text, ","))
}

// parseForwarded reads the value of a Forwarded header (RFC 7239, section 4).
func parseForwarded(text string) (hops []hop, ok bool) {
	r := &forwardedReader{text}
	for {
		for r.accept(',') { // A list may hold empty elements.
		}
		if r.rest == "" {
			return hops, true
		}
		h, ok := r.element()
		if !ok {
			return nil, false
		}
		hops = append(hops, h)
		if r.rest != "" && !r.accept(',') {
			return nil, false
		}
	}
}

// forwardedReader reads the value of a Forwarded header from left to right.
type forwardedReader struct{ rest string }

// accept reads one character and the white space around it, if the character comes next.
func (r *forwardedReader) accept(c byte) bool {
	r.rest = strings.TrimLeft(r.rest, " \t")
	if r.rest == "" || r.rest[0] != c {
		return false
	}
	r.rest = strings.TrimLeft(r.rest[1:], " \t")
	return true
}

// element reads what one proxy wrote: pairs of a name and a value. Each name may come once.
func (r *forwardedReader) element() (h hop, ok bool) {
	seen := map[string]bool{}
	for {
		name, value, ok := r.pair()
		if !ok || seen[name] {
			return h, false
		}
		seen[name] = true
		switch name {
		case "for":
			h.address = nodeAddr(value)
		case "proto":
			h.proto = value
		case "host":
			h.host = value
		}
		if !r.accept(';') {
			return h, true
		}
	}
}

func (r *forwardedReader) pair() (name, value string, ok bool) {
	name, ok = r.token()
	if !ok || r.rest == "" || r.rest[0] != '=' {
		return "", "", false
	}
	r.rest = r.rest[1:]
	if strings.HasPrefix(r.rest, `"`) {
		value, ok = r.quoted()
	} else {
		value, ok = r.token()
	}
	return strings.ToLower(name), value, ok
}

// token reads a token (RFC 9110, section 5.6.2).
func (r *forwardedReader) token() (string, bool) {
	i := 0
	for i < len(r.rest) && httpguts.IsTokenRune(rune(r.rest[i])) {
		i++
	}
	text := r.rest[:i]
	r.rest = r.rest[i:]
	return text, text != ""
}

// quoted reads a quoted string, in which a backslash takes the next character as it is.
func (r *forwardedReader) quoted() (string, bool) {
	var b strings.Builder
	for i := 1; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '"':
			r.rest = r.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(r.rest):
			i++
			b.WriteByte(r.rest[i])
		case c == '\\':
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// nodeAddr gives the address of a node (RFC 7239, section 6). It is invalid if the node is
// unknown or obfuscated. Its port may be obfuscated.
func nodeAddr(text string) netip.Addr {
	if a, ok := readAddr(text); ok {
		return a
	}
	var name string
	if inner, ok := strings.CutPrefix(text, "["); ok {
		var tail string
		if name, tail, ok = strings.Cut(inner, "]"); !ok || !strings.HasPrefix(tail, ":_") {
			return netip.Addr{}
		}
	} else {
		name, _, _ = strings.Cut(text, ":_")
	}
	a, err := netip.ParseAddr(name)
	if err != nil {
		return netip.Addr{}
	}
	return plainAddr(a)
}
