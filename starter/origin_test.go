package starter_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/starter"
)

// seenClient is the observer that notes who sent the last request.
type seenClient struct{ client chan string }

// Began implements starter.Observer.
func (seenClient) Began() {}

func (s seenClient) Answered(a starter.Answer) { s.client <- a.Client }

func TestClientIsWhoTrustedProxiesSay(t *testing.T) {
	const proxies = "[127.0.0.1, 10.0.0.0/8, 2001:db8:aaaa::/48]"
	for _, test := range []struct {
		name    string
		proxies string
		headers []string
		client  string
		allowed bool // by a list that holds 192.0.2.0/24, 2001:db8::/64 and the proxies
	}{
		{"no header is the peer", proxies, nil, "127.0.0.1", true},
		{"one address", proxies, []string{"X-Forwarded-For", "192.0.2.1"}, "192.0.2.1", true},
		{"what a client made up stands left", proxies, []string{"X-Forwarded-For", "192.0.2.1, 198.51.100.7"}, "198.51.100.7", false},
		{"proxies of ours are passed over", proxies, []string{"X-Forwarded-For", "198.51.100.7, 192.0.2.1, 10.1.2.3"}, "192.0.2.1", true},
		{"the lines are one list", proxies, []string{"X-Forwarded-For", "192.0.2.1", "X-Forwarded-For", "198.51.100.7"}, "198.51.100.7", false},
		{"all are ours", proxies, []string{"X-Forwarded-For", "10.9.9.9, 10.1.2.3"}, "10.9.9.9", true},
		{"a mapped address", proxies, []string{"X-Forwarded-For", "::ffff:192.0.2.1"}, "192.0.2.1", true},
		{"a port", proxies, []string{"X-Forwarded-For", "192.0.2.1:4711"}, "192.0.2.1", true},
		{"an IPv6 address with port and zone", proxies, []string{"X-Forwarded-For", "[2001:db8::1%eth0]:4711"}, "2001:db8::1", true},
		{"an IPv6 proxy", proxies, []string{"X-Forwarded-For", "2001:db8::5, 2001:db8:aaaa::1"}, "2001:db8::5", true},
		{"empty elements", proxies, []string{"X-Forwarded-For", "192.0.2.1, ,"}, "192.0.2.1", true},
		{"garbage is nobody", proxies, []string{"X-Forwarded-For", "garbage"}, "127.0.0.1", false},
		{"garbage behind a proxy is nobody", proxies, []string{"X-Forwarded-For", "garbage, 10.1.2.3"}, "10.1.2.3", false},
		{"a stranger's header is ignored", "[10.0.0.0/8]", []string{"X-Forwarded-For", "192.0.2.1"}, "127.0.0.1", true},
		{"a stranger's Forwarded is ignored", "[10.0.0.0/8]", []string{"Forwarded", "for=192.0.2.1"}, "127.0.0.1", true},
		{"Forwarded", proxies, []string{"Forwarded", "for=192.0.2.1;proto=https;by=203.0.113.43"}, "192.0.2.1", true},
		{"Forwarded through two proxies", proxies, []string{"Forwarded", `for=198.51.100.7, For="[2001:db8::1]:4711"`, "Forwarded", "for=10.1.2.3"}, "2001:db8::1", true},
		{"Forwarded that a client made up", proxies, []string{"Forwarded", "for=192.0.2.1, for=198.51.100.7"}, "198.51.100.7", false},
		{"an unknown node", proxies, []string{"Forwarded", "for=192.0.2.1, for=unknown"}, "127.0.0.1", false},
		{"an obfuscated node", proxies, []string{"Forwarded", "for=_hidden"}, "127.0.0.1", false},
		{"a node that says nothing", proxies, []string{"Forwarded", "proto=https"}, "127.0.0.1", false},
		{"a Forwarded that is none", proxies, []string{"Forwarded", `for="192.0.2.1`}, "127.0.0.1", false},
		{"both headers agree", proxies, []string{"Forwarded", "for=192.0.2.1", "X-Forwarded-For", "192.0.2.1"}, "192.0.2.1", true},
		{"a Forwarded that the proxy let through", proxies, []string{"Forwarded", "for=192.0.2.1", "X-Forwarded-For", "198.51.100.7"}, "198.51.100.7", false},
		{"an X-Forwarded-For that the proxy let through", proxies, []string{"X-Forwarded-For", "192.0.2.1", "Forwarded", "for=198.51.100.7"}, "192.0.2.1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			seen := seenClient{make(chan string, 1)}
			w := openDoor(t, "trusted_proxies: "+test.proxies+"\nsources:\n"+
				source("a", "allow_ips: [127.0.0.1, 10.0.0.0/8, 192.0.2.0/24, '2001:db8::/64']"), func(o *starter.Options) { o.Observer = seen })
			want := http.StatusForbidden
			if test.allowed {
				want = http.StatusOK
			}
			require.Equal(t, want, w.post(t, "a", "{}", append(token(), test.headers...)...).status)
			require.Equal(t, test.client, <-seen.client)
		})
	}
}

func TestRequireHTTPS(t *testing.T) {
	for _, test := range []struct {
		name    string
		proxy   string
		headers []string
		status  int
	}{
		{"plain HTTP", "127.0.0.1", nil, http.StatusForbidden},
		{"TLS to the proxy", "127.0.0.1", []string{"X-Forwarded-Proto", "https"}, http.StatusOK},
		{"the nearest proxy's word counts", "127.0.0.1", []string{"X-Forwarded-Proto", "https, http"}, http.StatusForbidden},
		{"the last line counts", "127.0.0.1", []string{"X-Forwarded-Proto", "http", "X-Forwarded-Proto", "HTTPS"}, http.StatusOK},
		{"a stranger's word does not", "192.0.2.1", []string{"X-Forwarded-Proto", "https"}, http.StatusForbidden},
		{"Forwarded", "127.0.0.1", []string{"Forwarded", "for=192.0.2.1;proto=https"}, http.StatusOK},
		{"Forwarded, the client's own hop", "127.0.0.1", []string{"Forwarded", "for=192.0.2.1;proto=https, for=127.0.0.1;proto=http"}, http.StatusOK},
		{"Forwarded, made up by the client", "127.0.0.1", []string{"Forwarded", "for=192.0.2.1;proto=https, for=192.0.2.2;proto=http"}, http.StatusForbidden},
		{"the headers disagree", "127.0.0.1", []string{"Forwarded", "for=192.0.2.1;proto=https", "X-Forwarded-Proto", "http"}, http.StatusForbidden},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := openDoor(t, "trusted_proxies: ["+test.proxy+"]\nsources:\n"+source("a", "require_https: true"))
			require.Equal(t, test.status, w.post(t, "a", "{}", append(token(), test.headers...)...).status)
		})
	}
}

func TestForwardedGrammar(t *testing.T) {
	for _, test := range []struct {
		text string
		want string // addresses; none where it is no Forwarded
	}{
		{"for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"},
		{"for=192.0.2.43, for=198.51.100.17", "192.0.2.43 198.51.100.17"},
		{`For="[2001:db8:cafe::17]:4711"`, "2001:db8:cafe::17"},
		{`for="192.0.2.43:47011"`, "192.0.2.43"},
		{`for="192.0.2.43:_port"`, "192.0.2.43"},
		{`for="[2001:db8::1]:_port"`, "2001:db8::1"},
		{`for="\1\92.0.2.1"`, "192.0.2.1"},
		{"for=192.0.2.1 ; proto=https , for=192.0.2.2", "192.0.2.1 192.0.2.2"},
		{`for=_a;ext="a,b;c=\"d"`, "invalid IP"},
		{`for="_x:1"`, "invalid IP"},
		{"by=192.0.2.1", "invalid IP"},
		{", ,for=192.0.2.1,", "192.0.2.1"},
		{"", ""},
		{"for", ""},
		{"for=", ""},
		{"for =192.0.2.1", ""},
		{"for=192.0.2.1;for=192.0.2.2", ""},
		{"for=192.0.2.1;", ""},
		{"for=192.0.2.1 for=192.0.2.2", ""},
		{`for="192.0.2.1\`, ""},
		{"for=[2001:db8::1]", ""},
		{"for=192.0.2.1, =x", ""},
	} {
		t.Run(test.text, func(t *testing.T) {
			addresses, _, _ := starter.ParseForwarded(test.text)
			var got []string
			for _, a := range addresses {
				got = append(got, a.String())
			}
			require.Equal(t, test.want, strings.Join(got, " "))
		})
	}
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{`for="[2001:db8::1]:1";proto=https, for=_x`, `for="a\"b`, ";,=", "for=1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addresses, _, ok := starter.ParseForwarded(text)
		if !ok {
			require.Empty(t, addresses)
		}
		for _, a := range addresses {
			require.False(t, a.Is4In6())
			require.Empty(t, a.Zone())
			if a.IsValid() {
				require.Contains(t, text, "=")
			}
		}
		// One more proxy after a good header is one more hop.
		if more, _, good := starter.ParseForwarded(text + ", for=192.0.2.1"); ok {
			require.True(t, good)
			require.Equal(t, append(addresses, netip.MustParseAddr("192.0.2.1")), more)
		}
	})
}
