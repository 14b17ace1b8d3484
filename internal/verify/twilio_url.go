package verify

import "strings"

// urlWithPort and urlWithoutPort of a URL are made on its text, because Twilio signs the text and
// parsing it would change its escapes.

// splitAuthority cuts a URL into what precedes its host, the host, the port without its colon, and
// the rest. The port is empty when there is none. A text without "://" gives ok false.
func splitAuthority(url string) (before, host, port, rest string, ok bool) {
	scheme, after, ok := strings.Cut(url, "://")
	if !ok {
		return "", "", "", "", false
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	authority, rest := after[:end], after[end:]
	at := strings.LastIndexByte(authority, '@') + 1
	before, host = scheme+"://"+authority[:at], authority[at:]
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		host, port = host[:colon], host[colon+1:]
	}
	return before, host, port, rest, true
}

// portVariants returns the URL as it is, without its port, and with the standard port of its scheme
// when it names none. Twilio signs one of them.
// https://www.twilio.com/docs/usage/security#validating-requests
func portVariants(url string) []string {
	before, host, port, rest, ok := splitAuthority(url)
	if !ok {
		return []string{url}
	}
	if port != "" {
		return []string{url, before + host + rest}
	}
	standard := ":443"
	if strings.HasPrefix(url, "http://") {
		standard = ":80"
	}
	return []string{url, before + host + standard + rest}
}
