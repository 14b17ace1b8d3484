package destination

import (
	"net/netip"
	"time"
)

// Dial is what the guard of a destination at host, with this allow_private,
// says about an address that host has led to.
func Dial(allow []string, host string, addr netip.Addr) error {
	g, err := newGuard(allow)
	if err != nil {
		return err
	}
	g.named = g.allowsName(host)
	return g.control("tcp", netip.AddrPortFrom(addr, 443).String(), nil)
}

// Encode is what a header has of sender text.
func Encode(s string) string { return encode(s) }

// RetryAfter reads the header of that name.
func RetryAfter(s string, now time.Time) time.Duration { return retryAfter(s, now) }
