package destination_test

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARefusedAddressIsAPermanentFailure(t *testing.T) {
	srv, requests := answer(t, ok)
	d, err := made(options{Name: "crm", URL: srv.URL})
	require.NoError(t, err)
	e := refusedBy(t, d)
	require.True(t, e.Permanent)
	require.EqualError(t, e, "destination crm: POST "+srv.URL+" failed: its address 127.0.0.1 is loopback and refused, "+
		"list it under allow_private if it is meant")
	require.Empty(t, requests)
}

// TestANameIsJudgedByWhereItLeadsAtEachDial is DNS rebinding: a name that leads
// to an allowed address at first and to a refused one later.
func TestANameIsJudgedByWhereItLeadsAtEachDial(t *testing.T) {
	srv, requests := answer(t, ok)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	require.NoError(t, err)
	var leads atomic.Pointer[netip.Addr]
	first, second := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	leads.Store(&first)
	d := open(t, options{URL: "http://rebind.test:" + port, Resolver: resolver(t, &leads)})

	require.NoError(t, d.Deliver(t.Context(), sample, nil, 1))
	d.Close()
	leads.Store(&second)
	e := refusedBy(t, d)
	require.True(t, e.Permanent)
	require.ErrorContains(t, e, "127.0.0.2 is loopback")
	require.Len(t, requests, 1)
}

func TestANameThatDoesNotResolveIsTriedAgain(t *testing.T) {
	var nowhere atomic.Pointer[netip.Addr]
	e := refusedBy(t, open(t, options{URL: "http://gone.test", Resolver: resolver(t, &nowhere)}))
	require.False(t, e.Permanent)
	require.ErrorContains(t, e, "no such host")
}

// resolver asks a DNS server of ours, for which every name leads to one address,
// or, while there is none, does not exist.
func resolver(t *testing.T, leads *atomic.Pointer[netip.Addr]) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply, ok := reply(buf[:n], leads.Load()); ok {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: dialTo(conn.LocalAddr())}
}
