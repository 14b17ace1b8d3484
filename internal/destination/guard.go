package destination

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// RefusedError is a destination whose address is not to be reached from here.
type RefusedError struct {
	// Addr is the address that its host name led to.
	Addr netip.Addr
	// Kind says what sort of address that is.
	Kind string
}

// Error says how to allow it.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("its address %s is %s and refused, list it under allow_private if it is meant", e.Addr, e.Kind)
}

// guard decides which addresses may be dialled. It looks at the address that a
// connection is about to be made to, so no name that resolves to another
// address a moment later gets past it.
type guard struct {
	prefixes []netip.Prefix
	names    []string
	named    bool // the URL's own host is among names
}

func newGuard(allow []string) (*guard, error) {
	g := &guard{}
	var faults []error
	for _, s := range allow {
		if p, err := netip.ParsePrefix(s); err == nil {
			g.prefixes = append(g.prefixes, unmapped(p))
		} else if a, err := netip.ParseAddr(s); err == nil {
			a = a.Unmap().WithZone("")
			g.prefixes = append(g.prefixes, netip.PrefixFrom(a, a.BitLen()))
		} else if s == "" || strings.ContainsAny(s, "/: ") {
			faults = append(faults, fmt.Errorf("allow_private: %q is no prefix, address or host name", s))
		} else {
			g.names = append(g.names, hostName(s))
		}
	}
	return g, errors.Join(faults...)
}

// unmapped writes ::ffff:10.0.0.0/104 as 10.0.0.0/8, since addresses are
// compared that way.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// hostName makes names comparable: no case, no root dot.
func hostName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

func (g *guard) allowsName(host string) bool {
	for _, n := range g.names {
		if n == hostName(host) {
			return true
		}
	}
	return false
}

// control is called with the resolved address of every connection before it is
// made.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q can't be judged: %w", address, err)
	}
	return g.check(ap.Addr())
}

func (g *guard) check(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	kind, inner := classify(a)
	if kind == "" || (inner && g.named) {
		return nil
	}
	for _, p := range g.prefixes {
		if p.Contains(a) {
			return nil
		}
	}
	return &RefusedError{Addr: a, Kind: kind}
}

// Idle connections: one destination is one host, so these are per host as well.
const (
	maxIdle     = 64
	idleTime    = 90 * time.Second
	maxHeader   = 64 << 10
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
)

// newClient makes the client of one destination. Proxies of the environment are
// left out: one would resolve the name itself, past the guard.
func newClient(o Options, g *guard) *http.Client {
	dialer := &net.Dialer{Timeout: o.Timeout, KeepAlive: pingAfter, Resolver: o.Resolver, Control: g.control}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    o.Timeout,
			MaxIdleConns:           maxIdle,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleTime,
			MaxResponseHeaderBytes: maxHeader,
			// A small answer could unpack into a big one.
			DisableCompression: true,
			ForceAttemptHTTP2:  true,
			HTTP2:              &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
