package starter_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/starter"
)

// listServer serves a list of addresses by HTTPS; what it answers can change.
type listServer struct {
	url       string
	transport *http.Transport
	answer    atomic.Pointer[http.HandlerFunc]
	asked     atomic.Int64
}

func serveList(t *testing.T) *listServer {
	t.Helper()
	l := &listServer{}
	l.says("")
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*l.answer.Load())(w, r)
		l.asked.Add(1)
	}))
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	l.url, l.transport = s.URL, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	return l
}

func (l *listServer) does(h http.HandlerFunc) { l.answer.Store(&h) }

func (l *listServer) says(text string) {
	l.does(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

func (l *listServer) option() func(*starter.Options) {
	return func(o *starter.Options) { o.Transport = l.transport }
}

// becomes waits until the answer to a request of ours has a status.
func (w *doorway) becomes(t *testing.T, status int) {
	t.Helper()
	require.Eventually(t, func() bool { return w.post(t, "a", "{}", token()...).status == status }, time.Minute, 5*time.Millisecond)
}

func TestAllowedAddresses(t *testing.T) {
	for _, test := range []struct {
		name   string
		list   string
		status int
	}{
		{"the address", "[127.0.0.1]", http.StatusOK},
		{"its network", "[192.0.2.0/24, 127.0.0.0/8]", http.StatusOK},
		{"the address written as an IPv6 one", "['::ffff:127.0.0.1']", http.StatusOK},
		{"others", "[192.0.2.0/24, '::/0']", http.StatusForbidden},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := openDoor(t, "sources:\n"+source("a", "allow_ips: "+test.list))
			require.Equal(t, test.status, w.post(t, "a", "{}", token()...).status)
		})
	}
}

func TestListIsReadAgain(t *testing.T) {
	list := serveList(t)
	list.says(`{"verifiable": true, "hooks": ["192.0.2.0/24"]}`)
	yaml := "sources:\n" + source("a", "allow_ips: {cidrs: [192.0.2.0/24], from: '"+list.url+"/meta'}")
	w := openDoor(t, yaml, list.option())
	w.becomes(t, http.StatusForbidden)

	list.says(`{"hooks": ["192.0.2.0/24", "127.0.0.0/8", "2001:db8::/32"]}`)
	w.reload(t, yaml)
	w.becomes(t, http.StatusOK)

	for name, answer := range map[string]http.HandlerFunc{
		"an error":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"a redirect":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
		"a login page": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"nothing":      func(http.ResponseWriter, *http.Request) {},
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("# long\n", 1<<20))
		},
		"another object": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"web": ["192.0.2.0/24"]}`) },
	} {
		t.Run("the last good list stays after "+name, func(t *testing.T) {
			list.does(answer)
			before := list.asked.Load()
			w.reload(t, yaml)
			require.Eventually(t, func() bool { return list.asked.Load() > before }, time.Minute, time.Millisecond)
			require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status)
		})
	}
	w.reload(t, strings.Replace(yaml, "/meta'", "/meta', refresh: 2h", 1))
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status, "it also stays when only the time changes")
}

func TestListThatWasNeverReadLetsNobodyIn(t *testing.T) {
	list := serveList(t)
	list.does(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) })
	yaml := "sources:\n" + source("a", "allow_ips: {from: '"+list.url+"'}") +
		source("b", "allow_ips: {cidrs: [127.0.0.1], from: '"+list.url+"'}")
	w := openDoor(t, yaml, list.option())
	require.Eventually(t, func() bool { return list.asked.Load() > 0 }, time.Minute, time.Millisecond)
	r := w.post(t, "a", "{}", token()...)
	require.Equal(t, http.StatusServiceUnavailable, r.status, "the trouble is ours: the sender is to try again")
	require.NotEmpty(t, r.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, w.post(t, "b", "{}", token()...).status, "what stands in the file counts")
	w.reload(t, yaml)
	require.Eventually(t, func() bool { return list.asked.Load() > 1 }, time.Minute, time.Millisecond)
	require.Equal(t, 1, w.logs.FilterMessageSnippet("list of addresses can't be read").Len(), "said once, for one list")
	list.says("127.0.0.0/8")
	w.reload(t, yaml)
	w.becomes(t, http.StatusOK)
}

func TestListInAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "list")
	require.NoError(t, os.WriteFile(name, []byte("192.0.2.0/24\n"), 0o600))
	yaml := "sources:\n" + source("a", "allow_ips: {from: 'file:"+name+"'}")
	w := openDoor(t, yaml)
	w.becomes(t, http.StatusForbidden)
	require.NoError(t, os.WriteFile(name, []byte("# ours\n192.0.2.0/24\n127.0.0.1 # here\n"), 0o600))
	w.reload(t, yaml)
	w.becomes(t, http.StatusOK)
}

func TestParseList(t *testing.T) {
	for _, test := range []struct {
		name, text, key string
		in, out         []string
		bad             bool
	}{
		{name: "lines", text: "\ufeff# a\r\n192.0.2.1\r\n\n 198.51.100.0/24 # b\n", in: []string{"192.0.2.1", "198.51.100.255"}, out: []string{"192.0.2.2", "198.51.101.0"}},
		{name: "a JSON list", text: ` ["192.0.2.0/31"]`, in: []string{"192.0.2.1"}, out: []string{"192.0.2.2"}},
		{name: "a member of an object", text: `{"web": ["192.0.2.1"], "hooks": ["2001:db8::/32"]}`, key: "hooks", in: []string{"2001:db8:ffff::1"}, out: []string{"192.0.2.1", "2001:db9::"}},
		{name: "overlapping networks", text: "10.0.0.0/8\n10.1.0.0/16\n10.0.0.1\n11.0.0.0/8", in: []string{"10.200.0.1", "10.0.0.0", "11.255.255.255"}, out: []string{"9.255.255.255", "12.0.0.0", "::a00:1"}},
		{name: "an address with bits outside its mask", text: "192.0.2.7/24", in: []string{"192.0.2.200"}},
		{name: "a mapped network", text: "::ffff:192.0.2.0/120", in: []string{"192.0.2.200"}, out: []string{"192.0.3.0"}},
		{name: "nothing", text: "# nothing", bad: true},
		{name: "a word", text: "192.0.2.1\nlocalhost", bad: true},
		{name: "no such member", text: `{"web": []}`, key: "hooks", bad: true},
		{name: "a member of another kind", text: `{"hooks": "192.0.2.1"}`, key: "hooks", bad: true},
		{name: "half of a JSON text", text: `{"hooks": ["192.0.2.1"`, key: "hooks", bad: true},
		{name: "an empty list", text: `[]`, bad: true},
		{name: "too many", text: strings.Repeat("192.0.2.1\n", 100_001), bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			contains, err := starter.ParseList(test.text, test.key)
			if test.bad {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			for _, a := range test.in {
				require.True(t, contains(netip.MustParseAddr(a)), a)
			}
			for _, a := range test.out {
				require.False(t, contains(netip.MustParseAddr(a)), a)
			}
		})
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{`{"hooks": ["192.0.2.0/24"]}`, "192.0.2.1 # x\n::/0", "[\"::ffff:1.2.3.4/97\"]", "0.0.0.0/0"} {
		f.Add(s, "192.0.2.1")
	}
	f.Fuzz(func(t *testing.T, text, address string) {
		contains, err := starter.ParseList(text, "hooks")
		a, bad := netip.ParseAddr(address)
		if err != nil || bad != nil || strings.ContainsAny(text, "[{#\"") {
			return
		}
		in := false
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
			p, err := netip.ParsePrefix(line)
			if one, bad := netip.ParseAddr(line); bad == nil {
				one = one.Unmap().WithZone("")
				p, err = netip.PrefixFrom(one, one.BitLen()), nil
			}
			in = in || err == nil && (p.Contains(a) || p.Addr().Is4In6() && p.Contains(netip.AddrFrom16(a.As16())))
		}
		if a.Zone() == "" && !a.Is4In6() {
			require.Equal(t, in, contains(a))
		}
	})
}
