package starter

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
)

// origin is where a request came from and how it was sent, as far as its headers can be believed.
type origin struct {
	// client is the client's address. If known is not set, it is the address of the last proxy
	// that could be traced.
	client netip.Addr
	known  bool
	// peer is the address at the other end of the connection.
	peer netip.Addr
	// trusted is set if the peer is a trusted proxy.
	trusted bool
	// https is set if the client used TLS, to this receiver or to a trusted proxy.
	https bool
	// host is the host name that the client called.
	host string
}

// hop is what one proxy wrote about the client that sent it the request. The address is invalid
// if the proxy gave none.
type hop struct {
	address     netip.Addr
	proto, host string
}

// originOf reads where a request came from. Forwarding headers count only if the peer is a
// trusted proxy. Of the addresses in them it takes the right-most one that is not a trusted
// proxy: anybody may have written what stands to the left of it.
//
// X-Forwarded-For and Forwarded are both read. A proxy writes one of them and passes the other on
// as the client wrote it; nothing tells which. So if both are there and name different clients,
// the client is unknown, and no list of allowed addresses lets it in.
func originOf(c *fiber.Ctx, trusted []netip.Prefix) origin {
	h := &c.Request().Header
	o := origin{https: c.Context().IsTLS(), host: string(h.Host())}
	peer, ok := netip.AddrFromSlice(c.Context().RemoteIP())
	o.peer = plainAddr(peer)
	o.client, o.known = o.peer, ok
	if !ok || !inAnyOf(o.client, trusted) {
		return o
	}
	o.trusted = true
	x, okX := xForwarded(h)
	f, okF := forwarded(h)
	proto, host := lastElement(h, fiber.HeaderXForwardedProto), lastElement(h, fiber.HeaderXForwardedHost)
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
	o.https = usedTLS(o.https, proto, noted.proto)
	if host != "" {
		o.host = host
	} else if noted.host != "" {
		o.host = noted.host
	}
	return o
}

// trace follows the hops from the peer towards the client, up to the first that is not a trusted
// proxy. noted is that hop, as the last trusted proxy wrote it.
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
		if !inAnyOf(client, trusted) {
			return client, noted, true
		}
	}
	return client, noted, true
}

// usedTLS tells whether the client used TLS. If no proxy says anything about it, what counts is
// how the request came to this receiver. If proxies disagree, the answer is no.
func usedTLS(tls bool, protos ...string) bool {
	told := false
	for _, p := range protos {
		if p == "" {
			continue
		}
		if !strings.EqualFold(p, "https") {
			return false
		}
		told = true
	}
	return told || tls
}

// xForwarded lists the addresses of X-Forwarded-For, the nearest last.
func xForwarded(h *fasthttp.RequestHeader) (hops []hop, ok bool) {
	for _, line := range h.PeekAll(fiber.HeaderXForwardedFor) {
		for text := range strings.SplitSeq(string(line), ",") {
			if text = strings.TrimSpace(text); text != "" {
				a, _ := readAddr(text)
				hops = append(hops, hop{address: a})
			}
		}
	}
	return hops, true
}

// lastElement gives the right-most element of a header that holds a list.
func lastElement(h *fasthttp.RequestHeader, name string) string {
	lines := h.PeekAll(name)
	if len(lines) == 0 {
		return ""
	}
	text := string(lines[len(lines)-1])
	return strings.TrimSpace(text[strings.LastIndexByte(text, ',')+1:])
}

// readAddr reads an address, with or without port and brackets.
func readAddr(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return plainAddr(ap.Addr()), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s = strings.TrimSuffix(inner, "]")
	}
	a, err := netip.ParseAddr(s)
	return plainAddr(a), err == nil
}

// plainAddr gives an address in the form in which addresses are compared: an IPv4 address that is
// written as an IPv6 one becomes IPv4, and a zone, which means something only on its own machine,
// is dropped.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func inAnyOf(a netip.Addr, prefixes []netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// unnamedPeers warns of peers that send the headers of a proxy but are not among trusted_proxies.
// All requests through such a proxy count as one client, which matters to sources that judge
// clients by their addresses. Anybody can send these headers, so there is one warning for a peer,
// and no more than maxUnnamed until the configuration is read again.
type unnamedPeers struct {
	mu   sync.Mutex
	told map[netip.Addr]bool
	log  *zap.Logger
}

// maxUnnamed bounds the number of warnings: nobody forgets to name that many proxies.
const maxUnnamed = 16

func newUnnamedPeers(log *zap.Logger) *unnamedPeers {
	return &unnamedPeers{told: map[netip.Addr]bool{}, log: log}
}

// look warns of the peer of a request, if the source judges requests by their clients' addresses.
func (u *unnamedPeers) look(x *exchange, s *config.Source) {
	setting := originSetting(s)
	if setting == "" || x.origin.trusted || !x.origin.client.IsValid() {
		return
	}
	header := forwardingHeader(&x.ctx.Request().Header)
	if header == "" {
		return
	}
	last, first := u.note(x.origin.client)
	if !first {
		return
	}
	u.log.Warn("a request with the header of a proxy comes from a peer that trusted_proxies does not name, so the peer "+
		"counts as its client; add the peer's network to trusted_proxies if it is a proxy of yours",
		zap.Stringer("peer", x.origin.client), zap.String("header", header),
		zap.String("source", s.Name), zap.String("setting", setting))
	if last {
		u.log.Warn("no more warnings of peers with the header of a proxy until the configuration is read again",
			zap.Int("told", maxUnnamed))
	}
}

// note remembers a peer, an IPv6 peer by its network as the rate limits do. first is set if there
// is to be a warning of the peer, last if it is the last one.
func (u *unnamedPeers) note(peer netip.Addr) (last, first bool) {
	peer = networkOf(peer)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.told[peer] || len(u.told) >= maxUnnamed {
		return false, false
	}
	u.told[peer] = true
	return len(u.told) == maxUnnamed, true
}

// originSetting names the setting by which a source judges where requests come from; empty if it
// has none.
func originSetting(s *config.Source) string {
	switch {
	case s.AllowIPs.Given():
		return "allow_ips"
	case s.RateLimitIP.Rate > 0:
		return "rate_limit_ip"
	default:
		return ""
	}
}

// forwardingHeader names the header that shows that a request was forwarded; empty if there is
// none.
func forwardingHeader(h *fasthttp.RequestHeader) string {
	for _, name := range []string{fiber.HeaderXForwardedFor, "Forwarded"} {
		if len(h.Peek(name)) > 0 {
			return name
		}
	}
	return ""
}
