package starter

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// origin is where a request came from and how it was sent, as far as that can be
// believed.
type origin struct {
	// client is the sender's address; where known is unset, that of the last
	// proxy before the trail is lost.
	client netip.Addr
	known  bool
	// trusted is set when the peer is a proxy that we trust.
	trusted bool
	// https is set when the sender sent by TLS, to us or to a proxy we trust.
	https bool
	// host is what the sender called us.
	host string
}

// hop is what one proxy noted of the request that it was sent. Its address is
// invalid where the proxy did not give one.
type hop struct {
	address     netip.Addr
	proto, host string
}

// originOf reads where a request came from. Forwarding headers count only when
// the peer is a proxy that we trust, and of them the right-most address that is
// no such proxy: what stands left of it anybody may have written.
//
// X-Forwarded-For and Forwarded are both read. A proxy writes one of them and
// hands the other on as the client wrote it, and which one it writes cannot be
// told. So where both are there and do not name the same client, the client is
// not known, and no list of allowed addresses lets it in.
func originOf(c *fiber.Ctx, trusted []netip.Prefix) origin {
	h := &c.Request().Header
	o := origin{https: c.Context().IsTLS(), host: string(h.Host())}
	peer, ok := netip.AddrFromSlice(c.Context().RemoteIP())
	o.client, o.known = plain(peer), ok
	if !ok || !within(o.client, trusted) {
		return o
	}
	o.trusted = true
	x, okX := xForwarded(h)
	f, okF := forwarded(h)
	proto, host := last(h, fiber.HeaderXForwardedProto), last(h, fiber.HeaderXForwardedHost)
	clientX, _, knownX := o.trace(x, okX, trusted)
	clientF, noted, knownF := o.trace(f, okF, trusted)
	switch gotX, gotF := len(x) > 0 || !okX, len(f) > 0 || !okF; {
	case gotX && gotF:
		o.client, o.known = clientX, knownX && knownF && clientX == clientF
	case gotX:
		o.client, o.known = clientX, knownX
	case gotF:
		o.client, o.known = clientF, knownF
	}
	o.https = said(o.https, proto, noted.proto)
	if host != "" {
		o.host = host
	} else if noted.host != "" {
		o.host = noted.host
	}
	return o
}

// trace follows the hops from the peer towards the sender, to the first that is
// no proxy of ours. noted is what the proxy wrote that this one spoke to.
func (o origin) trace(hops []hop, readable bool, trusted []netip.Prefix) (client netip.Addr, noted hop, known bool) {
	client = o.client
	if !readable {
		return client, hop{}, false
	}
	for _, h := range slices.Backward(hops) {
		if !h.address.IsValid() {
			return client, h, false
		}
		client, noted = h.address, h
		if !within(client, trusted) {
			return client, noted, true
		}
	}
	return client, noted, true
}

// said tells whether the proxies say that the sender used TLS. Where none says
// anything, it counts how the request came to us; where they disagree, it is no.
func said(tls bool, protos ...string) bool {
	heard := false
	for _, p := range protos {
		if p == "" {
			continue
		}
		if !strings.EqualFold(p, "https") {
			return false
		}
		heard = true
	}
	return heard || tls
}

// xForwarded lists the addresses that proxies added to X-Forwarded-For, the
// nearest last.
func xForwarded(h *fasthttp.RequestHeader) (hops []hop, ok bool) {
	for _, line := range h.PeekAll(fiber.HeaderXForwardedFor) {
		for text := range strings.SplitSeq(string(line), ",") {
			if text = strings.TrimSpace(text); text != "" {
				a, _ := address(text)
				hops = append(hops, hop{address: a})
			}
		}
	}
	return hops, true
}

// last is the right-most value of a header that is a list.
func last(h *fasthttp.RequestHeader, name string) string {
	lines := h.PeekAll(name)
	if len(lines) == 0 {
		return ""
	}
	text := string(lines[len(lines)-1])
	return strings.TrimSpace(text[strings.LastIndexByte(text, ',')+1:])
}

// address reads an address, with or without port and brackets.
func address(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return plain(ap.Addr()), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s = strings.TrimSuffix(inner, "]")
	}
	a, err := netip.ParseAddr(s)
	return plain(a), err == nil
}

// plain is an address as it is compared: an IPv4 address written as an IPv6 one
// is what it is, and a zone means nothing to anybody else.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func within(a netip.Addr, prefixes []netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}
