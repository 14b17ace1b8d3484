package netguard

import "net/netip"

// addressSpace is a range of addresses that nothing is sent to unasked.
type addressSpace struct {
	prefix string
	kind   string
	inner  bool // a host name under allow_private may lead here
}

// spaces4 is IANA's registry of IPv4 special-purpose addresses (RFC 6890) and
// what clouds answer their machines' secrets on.
func spaces4() []addressSpace {
	return []addressSpace{
		{"0.0.0.0/8", "unspecified", false},
		{"10.0.0.0/8", "private", true},
		{"100.100.100.200/32", "a cloud's metadata service", false},
		{"100.64.0.0/10", "shared by a carrier (CGNAT)", true},
		{"127.0.0.0/8", "loopback", true},
		{"168.63.129.16/32", "a cloud's metadata service", false},
		{"169.254.0.0/16", "link-local", false},
		{"172.16.0.0/12", "private", true},
		{"192.0.0.0/24", "reserved", false},
		{"192.0.2.0/24", "reserved for documentation", false},
		{"192.88.99.0/24", "reserved", false},
		{"192.168.0.0/16", "private", true},
		{"198.18.0.0/15", "reserved for benchmarks", true},
		{"198.51.100.0/24", "reserved for documentation", false},
		{"203.0.113.0/24", "reserved for documentation", false},
		{"224.0.0.0/4", "multicast", false},
		{"240.0.0.0/4", "reserved", false},
	}
}

// spaces6 is the same of IPv6. What is in none of them has to be in 2000::/3,
// all that is given out for global unicast (RFC 4291).
func spaces6() []addressSpace {
	return []addressSpace{
		{"::/128", "unspecified", false},
		{"::1/128", "loopback", true},
		{"2001::/23", "reserved (Teredo and the like)", false},
		{"2001:db8::/32", "reserved for documentation", false},
		{"2002::/16", "6to4, which hides an IPv4 address", false},
		{"3fff::/20", "reserved for documentation", false},
		{"fd00:ec2::254/128", "a cloud's metadata service", false},
		{"fd20:ce::254/128", "a cloud's metadata service", false},
		{"fc00::/7", "private", true},
		{"fe80::/10", "link-local", false},
		{"ff00::/8", "multicast", false},
	}
}

// classify says what sort of address a is if it is not an ordinary one of the
// internet, and whether naming the host is enough to allow it.
func classify(a netip.Addr) (kind string, inner bool) {
	a = a.Unmap()
	if v4, ok := translated(a); ok {
		if kind, _ = classify(v4); kind != "" {
			kind += " behind NAT64"
		}
		return kind, false
	}
	spaces := spaces6()
	if a.Is4() {
		spaces = spaces4()
	}
	for _, s := range spaces {
		if netip.MustParsePrefix(s.prefix).Contains(a) {
			return s.kind, s.inner
		}
	}
	if a.Is6() && !netip.MustParsePrefix("2000::/3").Contains(a) {
		return "reserved", false
	}
	return "", false
}

// translated is the IPv4 address that NAT64 makes of an IPv6 one of its
// well-known prefix (RFC 6052). The prefixes for local use (RFC 8215) are
// reserved to us: what they lead to depends on the network.
func translated(a netip.Addr) (netip.Addr, bool) {
	if !netip.MustParsePrefix("64:ff9b::/96").Contains(a) {
		return netip.Addr{}, false
	}
	b := a.As16()
	return netip.AddrFrom4([4]byte(b[12:])), true
}
