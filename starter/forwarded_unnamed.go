package starter

import (
	"net/netip"
	"sync"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
)

// unnamedPeers tells the owner of a source that looks at its clients' addresses of
// peers that forward requests and that trusted_proxies does not name: all that
// comes through such a proxy counts as one client. Anybody can send the headers
// of a proxy, so each peer is told of once, and after maxUnnamed of them none, until
// the configuration is read again.
type unnamedPeers struct {
	mu   sync.Mutex
	told map[netip.Addr]bool
	log  *zap.Logger
}

// maxUnnamed bounds the warnings of one configuration. Nobody has that many
// proxies of different addresses and forgets them all.
const maxUnnamed = 16

func newUnnamedPeers(log *zap.Logger) *unnamedPeers {
	return &unnamedPeers{told: map[netip.Addr]bool{}, log: log}
}

// look warns of the peer of a request that a source judges by its origin.
func (u *unnamedPeers) look(x *exchange, s *config.Source) {
	setting := byOrigin(s)
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

// note remembers a peer, an IPv6 one by its network as limits do. first is set when
// it is to be told of, last when no other will be.
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

// byOrigin names the setting by which a source judges where requests come from;
// empty where it has none.
func byOrigin(s *config.Source) string {
	switch {
	case s.AllowIPs.Given():
		return "allow_ips"
	case s.RateLimitIP.Rate > 0:
		return "rate_limit_ip"
	default:
		return ""
	}
}

// forwardingHeader is the header by which a request shows that it was forwarded.
func forwardingHeader(h *fasthttp.RequestHeader) string {
	for _, name := range []string{fiber.HeaderXForwardedFor, "Forwarded"} {
		if len(h.Peek(name)) > 0 {
			return name
		}
	}
	return ""
}
