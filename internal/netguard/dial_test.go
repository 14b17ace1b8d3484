package netguard_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/netguard"
)

func guard(t *testing.T, allow ...string) *netguard.Guard {
	t.Helper()
	g, err := netguard.New(allow)
	require.NoError(t, err)
	return g
}

func TestADialIsJudgedByWhereItLeads(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	for _, test := range []struct {
		name, host string
		allow      []string
		refused    bool
	}{
		{"a loopback address", "127.0.0.1", nil, true},
		{"a name that leads to one", "localhost", nil, true},
		{"another name is allowed", "localhost", []string{"keys.example.com"}, true},
		{"its name is allowed", "localhost", []string{"LocalHost"}, false},
		{"its address is named", "127.0.0.1", []string{"127.0.0.1"}, false},
		{"its network is allowed", "localhost", []string{"127.0.0.0/8"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := guard(t, test.allow...)
			dial := g.DialContext(netguard.DialOptions{Timeout: 5 * time.Second})
			c, err := dial(t.Context(), "tcp4", net.JoinHostPort(test.host, port))
			var refused *netguard.RefusedError
			if test.refused {
				require.ErrorAs(t, err, &refused)
				require.ErrorAs(t, g.CheckLiteral(test.host), &refused, "the file is judged as the dial is")
				return
			}
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.NoError(t, g.CheckLiteral(test.host))
		})
	}
	t.Run("a list that is none", func(t *testing.T) {
		for _, entry := range []string{"http://x", "", "10.0.0.0/40", "a b"} {
			_, err := netguard.New([]string{entry})
			require.Error(t, err, entry)
			require.Error(t, netguard.CheckEntry(entry), entry)
		}
	})
}

func TestWhatAHostIsByItself(t *testing.T) {
	for host, is := range map[string]struct{ inner, loopback bool }{
		"localhost": {true, true}, "LOCALHOST.": {true, true}, "a.localhost": {true, true}, "127.0.0.1": {true, true},
		"127.9.9.9": {true, true}, "::1": {true, true}, "::ffff:127.0.0.1": {true, true}, "[::1]": {false, true},
		"10.0.0.1": {true, false}, "169.254.169.254": {true, false}, "100.64.0.1": {true, false}, "fd00::1": {true, false},
		"8.8.8.8": {false, false}, "example.com": {false, false}, "localhost.example.com": {false, false}, "": {false, false},
	} {
		require.Equal(t, is.inner, netguard.IsInner(host), host)
		require.Equal(t, is.loopback, netguard.IsLoopback(host), host)
	}
}

func TestAnAddressOfTheFileIsJudgedAsTheDialJudgesIt(t *testing.T) {
	for _, host := range []string{
		"100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "::", "64:ff9b::a00:1", "2002:7f00:1::1", "0.0.0.0", "1.1.1.1",
		"fe80::1%eth0", "2606:4700::1111",
	} {
		g := guard(t)
		a := netip.MustParseAddr(host)
		require.Equal(t, g.Check(host, a), g.CheckLiteral(host), host)
	}
}
