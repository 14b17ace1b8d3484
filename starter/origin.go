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

// origin is where a request came from and how it was sent, as far as the request can be
// believed.
type origin struct {
	// client is the sender's address. Where known is unset, it is that of the last proxy
	// which could be followed.
	client netip.Addr
	known  bool
	// peer is the address at the other end of the connection.
	peer netip.Addr
	// trusted is set where the peer is a proxy that we trust.
	trusted bool
	// https is set where the sender used TLS, to us or to a proxy that we trust.
	https bool
	// host is the name by which the sender called us.
	host string
}

// hop is what one proxy wrote of whoever sent it the request. The address is invalid
// where the proxy gave none.
type hop struct {
	address     netip.Addr
	proto, host string
}

// originOf reads where a request came from. Forwarding headers count only where the peer
// is a proxy that we trust. Of the addresses in them it takes the right-most one that is
// no such proxy: anybody may have written what stands left of it.
//
// X-Forwarded-For and Forwarded are both read. A proxy writes one of them and passes the
// other on as the client wrote it, and we can't tell which. So where both are there and
// name different clients, the client is not known, and no list of allowed addresses lets
// it in.
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

// trace follows the hops from the peer towards the sender, up to the first that is no
// proxy of ours. noted is that hop, as our last proxy wrote it.
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

// usedTLS tells whether the sender used TLS. Where no proxy says so or otherwise, it
// counts how the request came to us. Where they disagree, the sender did not.
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

// lastElement is the right-most element of a header that is a list.
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

// plainAddr is an address in the form in which addresses are compared: an IPv4 address
// that is written as an IPv6 one becomes IPv4, and a zone, which means something on its
// own machine only, is dropped.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func inAnyOf(a netip.Addr, prefixes []netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// unnamedPeers warns of peers that send the headers of a proxy and that trusted_proxies
// does not name. All requests through such a proxy count as one client, which matters to
// sources that judge clients by their addresses. Anybody can send these headers, so each
// peer is warned of once, and no more than maxUnnamed of them until the configuration is
// read again.
type unnamedPeers struct {
	mu   sync.Mutex
	told map[netip.Addr]bool
	log  *zap.Logger
}

// maxUnnamed bounds the warnings: nobody forgets to name that many proxies.
const maxUnnamed = 16

func newUnnamedPeers(log *zap.Logger) *unnamedPeers {
	return &unnamedPeers{told: map[netip.Addr]bool{}, log: log}
}

// look warns of the peer of a request, where the source judges requests by their clients.
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
		u.log.Warn("no more peers with the header of a proxy are told of until the configuration is read again",
			zap.Int("told", maxUnnamed))
	}
}

// note remembers a peer, an IPv6 one by its network as limits do. first is set where the
// peer is to be warned of, last where no other will be.
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

// originSetting names the setting by which a source judges where requests come from;
// empty where it has none.
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

// forwardingHeader is the header that shows that a request was forwarded; empty where
// there is none.
func forwardingHeader(h *fasthttp.RequestHeader) string {
	for _, name := range []string{fiber.HeaderXForwardedFor, "Forwarded"} {
		if len(h.Peek(name)) > 0 {
			return name
		}
	}
	return ""
}
