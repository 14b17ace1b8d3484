package starter_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/starter"
)

func TestAProxyThatIsNotTrustedIsToldOfOnce(t *testing.T) {
	const ips, rate = "allow_ips: [127.0.0.1]", "rate_limit_ip: {rate: 1000}"
	x := []string{"X-Forwarded-For", "192.0.2.1"}
	for _, test := range []struct {
		name, proxies, settings string
		headers                 []string
		setting                 string // that the warning names; none: no warning
	}{
		{"a list of addresses", "[]", ips, x, "allow_ips"},
		{"a rate of each client", "[]", rate, x, "rate_limit_ip"},
		{"Forwarded", "[]", rate, []string{"Forwarded", "for=192.0.2.1"}, "rate_limit_ip"},
		{"another proxy is trusted", "[10.0.0.0/8]", ips, x, "allow_ips"},
		{"a client that is refused", "[]", "allow_ips: [192.0.2.1]", x, "allow_ips"},
		{"the proxy is trusted", "[127.0.0.1]", rate, x, ""},
		{"no proxy", "[]", rate, nil, ""},
		{"a source that does not ask where requests come from", "[]", "rate_limit: {rate: 1000}", x, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			yaml := "trusted_proxies: " + test.proxies + "\nsources:\n" + source("a", test.settings)
			w := openDoor(t, yaml)
			warned := func() []map[string]any {
				var all []map[string]any
				for _, e := range w.logs.All() {
					if strings.Contains(e.Message, "trusted_proxies") {
						all = append(all, e.ContextMap())
					}
				}
				return all
			}
			for range 3 {
				w.post(t, "a", "{}", append(token(), test.headers...)...)
			}
			if test.setting == "" {
				require.Empty(t, warned())
				return
			}
			require.Equal(t, []map[string]any{{
				"peer": "127.0.0.1", "header": test.headers[0], "source": "a", "setting": test.setting,
			}}, warned())
			w.reload(t, yaml)
			w.post(t, "a", "{}", append(token(), test.headers...)...)
			require.Len(t, warned(), 2, "whoever reads the configuration again wants to know")
		})
	}
	t.Run("a source that is none is not looked at", func(t *testing.T) {
		w := openDoor(t, "sources:\n"+source("a", rate))
		require.Equal(t, http.StatusNotFound, w.post(t, "b", "{}", x...).status)
		require.Zero(t, w.logs.FilterMessageSnippet("trusted_proxies").Len())
	})
}

func TestStrangersCannotFloodTheLogWithTheHeaderOfAProxy(t *testing.T) {
	var peers []netip.Addr
	network := netip.MustParseAddr("2001:db8::1")
	for range 1000 { // A stranger's own network counts once.
		peers = append(peers, network)
		network = network.Next()
	}
	a := netip.MustParseAddr("192.0.2.0")
	for range 1000 {
		peers = append(peers, a, a)
		a = a.Next()
	}
	told, last := starter.TellUnnamed(peers)
	require.Len(t, told, starter.MaxUnnamed)
	require.Equal(t, peers[0], told[0])
	require.Equal(t, netip.MustParseAddr("192.0.2.0"), told[1])
	require.Equal(t, told[len(told)-1], last)
}
