// Package netguard decides which addresses grapnel may connect to: those of the
// internet, and of all others only what the configuration allows. Destinations
// use it, and so does whatever the receiver fetches. The address is judged when a
// connection is about to be made to it, so that a name which leads to another
// address a moment later is judged again.
package netguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// RefusedError is an address that is not to be reached from here.
type RefusedError struct {
	// Addr is the address that a host name led to.
	Addr netip.Addr
	// Kind says what sort of address that is.
	Kind string
}

// Error says how to allow it.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("its address %s is %s and refused, list it under allow_private if it is meant", e.Addr, e.Kind)
}

// Guard holds what is allowed beyond the addresses of the internet.
type Guard struct {
	prefixes []netip.Prefix
	names    []string
}

// New reads a list of what is allowed: prefixes ("10.1.0.0/16") and addresses,
// which are allowed whatever they are, and host names. A host name lets that host
// be private or loopback, but never link-local or a cloud's metadata service. The
// error names every entry that is none of these.
func New(allow []string) (*Guard, error) {
	g := &Guard{}
	var faults []error
	for _, s := range allow {
		if err := g.allow(s); err != nil {
			faults = append(faults, err)
		}
	}
	return g, errors.Join(faults...)
}

// CheckEntry tells whether New would take an entry of its list.
func CheckEntry(s string) error { return (&Guard{}).allow(s) }

func (g *Guard) allow(s string) error {
	if p, err := netip.ParsePrefix(s); err == nil {
		g.prefixes = append(g.prefixes, unmapped(p))
		return nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		a = plainAddr(a)
		g.prefixes = append(g.prefixes, netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	if s == "" || strings.ContainsAny(s, "/: ") {
		return fmt.Errorf("allow_private: %q is no prefix, address or host name", s)
	}
	g.names = append(g.names, hostName(s))
	return nil
}

// unmapped writes ::ffff:10.0.0.0/104 as 10.0.0.0/8, since addresses are
// compared that way.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// hostName makes names comparable: no case, no root dot.
func hostName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

func (g *Guard) allowsName(host string) bool {
	for _, n := range g.names {
		if n == hostName(host) {
			return true
		}
	}
	return false
}

// Check judges an address that host has led to. The error is a *RefusedError.
func (g *Guard) Check(host string, a netip.Addr) error {
	a = plainAddr(a)
	kind, inner := classify(a)
	if kind == "" || (inner && g.allowsName(host)) {
		return nil
	}
	for _, p := range g.prefixes {
		if p.Contains(a) {
			return nil
		}
	}
	return &RefusedError{Addr: a, Kind: kind}
}

// CheckLiteral judges a host as far as that needs no name service: an address as
// the dial would judge it, and localhost, which is this machine by its name
// (RFC 6761). Other names pass; where they lead is judged when they are dialled.
func (g *Guard) CheckLiteral(host string) error {
	if a, ok := literalAddr(host); ok {
		return g.Check(host, a)
	}
	return nil
}

// IsInner tells whether a host is, by itself, inside this machine or a network
// that is nobody else's: there traffic without TLS is not on the open internet.
func IsInner(host string) bool {
	a, ok := literalAddr(host)
	if !ok {
		return false
	}
	kind, _ := classify(plainAddr(a))
	return kind != ""
}

// IsLoopback tells whether a host is this machine by itself, whatever a name
// service says: a loopback address, or localhost.
func IsLoopback(host string) bool {
	a, ok := literalAddr(strings.Trim(host, "[]"))
	return ok && plainAddr(a).IsLoopback()
}

// literalAddr is the address that a host stands for without being looked up.
func literalAddr(host string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a, true
	}
	host = hostName(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	return netip.Addr{}, false
}

// keepAlive is how often an idle connection is asked for a sign of life.
const keepAlive = 15 * time.Second

// DialOptions say how a guarded dial connects.
type DialOptions struct {
	// Timeout bounds the connecting.
	Timeout time.Duration
	// Resolver looks host names up; nil is the system's.
	Resolver *net.Resolver
}

// DialContext makes a function for http.Transport.DialContext that connects only
// to addresses which the guard lets pass.
func (g *Guard) DialContext(o DialOptions) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("address %q can't be dialled: %w", addr, err)
		}
		d := &net.Dialer{Timeout: o.Timeout, KeepAlive: keepAlive, Resolver: o.Resolver, Control: g.control(host)}
		return d.DialContext(ctx, network, addr)
	}
}

// control is called with the resolved address of every connection to host before
// it is made.
func (g *Guard) control(host string) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address %q can't be judged: %w", address, err)
		}
		return g.Check(host, ap.Addr())
	}
}
