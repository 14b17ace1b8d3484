package netguard_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/netguard"
)

func TestAddressesThatAreNotOfTheInternetAreRefused(t *testing.T) {
	for addr, kind := range map[string]string{
		"0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "10.0.0.1": "private", "172.16.0.1": "private",
		"172.31.255.255": "private", "192.168.1.1": "private", "127.0.0.1": "loopback", "127.255.0.1": "loopback",
		"100.64.0.1": "CGNAT", "100.127.255.254": "CGNAT", "100.100.100.200": "metadata", "168.63.129.16": "metadata",
		"169.254.169.254": "link-local", "169.254.1.1": "link-local", "192.0.0.192": "reserved", "192.0.2.1": "documentation",
		"198.18.0.1": "benchmarks", "198.51.100.1": "documentation", "203.0.113.1": "documentation",
		"224.0.0.1": "multicast", "239.255.255.250": "multicast", "240.0.0.1": "reserved", "255.255.255.255": "reserved",
		"::": "unspecified", "::1": "loopback", "::7f00:1": "reserved", "::ffff:127.0.0.1": "loopback",
		"::ffff:10.0.0.1": "private", "::ffff:169.254.169.254": "link-local", "fc00::1": "private", "fd12::1": "private",
		"fd00:ec2::254": "metadata", "fe80::1": "link-local", "fec0::1": "reserved", "ff02::1": "multicast",
		"64:ff9b::7f00:1": "loopback behind NAT64", "64:ff9b::a9fe:a9fe": "link-local behind NAT64",
		"64:ff9b:1::a00:1": "reserved", "100::1": "reserved", "2001::1": "Teredo", "2001:db8::1": "documentation",
		"2002:7f00:1::1": "6to4", "3fff::1": "documentation", "4000::1": "reserved",
	} {
		t.Run(addr, func(t *testing.T) {
			var e *netguard.RefusedError
			require.ErrorAs(t, guard(t).Check("example.com", netip.MustParseAddr(addr)), &e)
			require.Contains(t, e.Kind, kind)
			require.ErrorContains(t, e, "allow_private")
		})
	}
}

func TestAddressesOfTheInternetAreDialled(t *testing.T) {
	for _, addr := range []string{
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
		"192.167.255.255", "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111", "2a00:1450::1",
	} {
		t.Run(addr, func(t *testing.T) {
			require.NoError(t, guard(t).Check("example.com", netip.MustParseAddr(addr)))
		})
	}
}

func TestWhatIsListedIsAllowed(t *testing.T) {
	cases := []struct {
		name, allow, host, addr string
		allowed                 bool
	}{
		{"a prefix", "10.1.0.0/16", "x.test", "10.1.2.3", true},
		{"outside the prefix", "10.1.0.0/16", "x.test", "10.2.0.1", false},
		{"a prefix and the address mapped", "10.1.0.0/16", "x.test", "::ffff:10.1.2.3", true},
		{"a mapped prefix", "::ffff:10.1.0.0/112", "x.test", "10.1.2.3", true},
		{"one address", "127.0.0.1", "x.test", "127.0.0.1", true},
		{"next to the address", "127.0.0.1", "x.test", "127.0.0.2", false},
		{"an IPv6 address with its zone", "fe80::1", "x.test", "fe80::1%eth0", true},
		{"the host by its name", "x.test", "x.test", "10.0.0.1", true},
		{"the name in another case and with its root", "X.Test.", "x.test", "127.0.0.1", true},
		{"the name of another host", "x.test", "y.test", "10.0.0.1", false},
		{"a name does not stand for its subdomains", "x.test", "a.x.test", "10.0.0.1", false},
		{"a name does not open link-local", "x.test", "x.test", "169.254.169.254", false},
		{"a name does not open metadata", "x.test", "x.test", "100.100.100.200", false},
		{"a name does not open what NAT64 hides", "x.test", "x.test", "64:ff9b::a00:1", false},
		{"link-local by its prefix", "169.254.0.0/16", "x.test", "169.254.169.254", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := guard(t, c.allow).Check(c.host, netip.MustParseAddr(c.addr))
			require.Equal(t, c.allowed, err == nil, err)
		})
	}
}
