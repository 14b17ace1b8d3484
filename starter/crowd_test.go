package starter_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/starter"
)

// attackers are strangers, each attack by connections of its own from an address that no
// sender has.
type attackers struct {
	addr  string
	conns []net.Conn
	done  sync.WaitGroup
	stop  chan struct{}
}

func attack(t *testing.T, w *doorway) *attackers {
	t.Helper()
	a := &attackers{addr: w.addr, stop: make(chan struct{})}
	t.Cleanup(func() {
		close(a.stop)
		for _, c := range a.conns {
			_ = c.Close()
		}
		a.done.Wait()
	})
	return a
}

// dial opens a connection from an address of the loopback network.
func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
	c, err := d.DialContext(t.Context(), "tcp", to)
	require.NoError(t, err)
	return c
}

// each opens n connections and begins the attack on each of them.
func (a *attackers) each(t *testing.T, n int, begin func(net.Conn) error) {
	t.Helper()
	for range n {
		c := dial(t, "127.0.0.2", a.addr)
		a.conns = append(a.conns, c)
		_ = begin(c) // It may be cut off already, which is the point.
	}
}

// drip sends a chunk of a byte on each connection, again and again.
func (a *attackers) drip() {
	a.done.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			for _, c := range a.conns {
				_, _ = io.WriteString(c, "1\r\na\r\n")
			}
			select {
			case <-a.stop:
				return
			case <-tick.C:
			}
		}
	})
}

// sender is a genuine one: it posts signed events, on new connections and on one that it
// keeps.
type sender struct {
	from    string
	headers []string
}

var genuine = map[string]sender{
	"a direct sender":                {from: "127.0.0.1"},
	"a sender behind a proxy":        {from: "127.0.0.3", headers: []string{"X-Forwarded-For", "198.51.100.7"}},
	"a sender at a stranger's side":  {from: "127.0.0.2"},
	"one behind a stranger's proxy ": {from: "127.0.0.3", headers: []string{"X-Forwarded-For", "127.0.0.2"}},
}

// serves checks that every genuine sender is answered 200 within a second, several times.
func serves(t *testing.T, w *doorway) {
	t.Helper()
	var n atomic.Int64
	for name, s := range genuine {
		t.Run(name, func(t *testing.T) {
			kept := s.transport(false)
			defer kept.CloseIdleConnections()
			for range 10 {
				for _, tr := range []*http.Transport{kept, s.transport(true)} {
					body := meeting(fmt.Sprint("genuine", n.Add(1)))
					began := time.Now()
					r := send(t, tr, "http://"+w.addr+"/webhooks/zoom", body, append(signZoom(body, w.now.time(), goodSecret), s.headers...)...)
					r.taken(t)
					// What a loaded machine needs to run the test at all is not the door's.
					require.Less(t, time.Since(began), time.Minute)
				}
			}
		})
	}
}

func (s sender) transport(once bool) *http.Transport {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.from)}}
	return &http.Transport{
		DisableKeepAlives: once,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return d.DialContext(ctx, network, addr)
		},
	}
}

const trustOne = "trusted_proxies: [127.0.0.3/32]\n"

// heap is what the garbage collector finds in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // The second frees what pools have kept.
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func TestDrippingBodiesKeepNoSenderOut(t *testing.T) {
	w, _ := openFake(t, yaml(trustOne, doorSource("zoom", "zoom", goodSecret)))
	a := attack(t, w)
	a.each(t, 1100, func(c net.Conn) error {
		_, err := io.WriteString(c, "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
		return err
	})
	a.drip()
	serves(t, w)
	require.Less(t, heap(), uint64(200<<20))
}

func TestIdleConnectionsKeepNoSenderOut(t *testing.T) {
	w, _ := openFake(t, yaml(trustOne+"max_requests: 64\n", doorSource("zoom", "zoom", goodSecret)))
	a := attack(t, w)
	a.each(t, 64*4+200, func(c net.Conn) error {
		_, err := io.WriteString(c, "GET /webhooks/zoom HTTP/1.1\r\nHost: x\r\n\r\n")
		if err != nil {
			return err
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
	serves(t, w)
}

func TestSilentConnectionsKeepNoSenderOut(t *testing.T) {
	w, _ := openFake(t, yaml(trustOne+"max_requests: 64\n", doorSource("zoom", "zoom", goodSecret)))
	a := attack(t, w)
	a.each(t, 64*4+200, func(c net.Conn) error { _, err := io.WriteString(c, "P"); return err })
	serves(t, w)
}

func TestLargeBodiesThatNobodyVerifiedTakeBoundedMemory(t *testing.T) {
	w, _ := openFake(t, yaml(trustOne, doorSource("zoom", "zoom", goodSecret)))
	a := attack(t, w)
	part := strings.Repeat("x", 1<<20-1)
	var sent sync.WaitGroup
	begin := make(chan struct{})
	a.each(t, 300, func(c net.Conn) error {
		sent.Go(func() {
			<-begin
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			_, _ = fmt.Fprintf(c, "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 1<<20)
			_, _ = io.WriteString(c, part)
		})
		return nil
	})
	close(begin)
	sent.Wait()
	require.Less(t, heap(), uint64(200<<20), "all but the last byte of 300 MiB was sent")
	serves(t, w)
}

func TestASlowBodyIsEndedByItsRate(t *testing.T) {
	w, _ := openFake(t, yaml("timeouts: {read: 5m}\n", doorSource("zoom", "zoom", goodSecret)))
	began := time.Now()
	answer := drip(t, w.addr, "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n", "a")
	require.Contains(t, answer, "HTTP/1.1 408 ")
	require.Less(t, time.Since(began), time.Minute, "of the five that the whole request may take")
}

func TestAVerifiedRequestIsAnsweredWhateverStrangersDo(t *testing.T) {
	w, engine := openFake(t, yaml("max_requests: 4\n", doorSource("zoom", "zoom", goodSecret)))
	entered, leave := make(chan struct{}), make(chan struct{})
	engine.set(func(context.Context, int, client.StartWorkflowOptions) error {
		entered <- struct{}{}
		<-leave
		return nil
	})
	got := make(chan reply, 1)
	go func() { got <- w.zoom(t, meeting("1")) }()
	<-entered
	a := attack(t, w)
	a.each(t, 200, func(c net.Conn) error { _, err := io.WriteString(c, "P"); return err })
	close(leave)
	r := <-got
	r.taken(t)
}

func TestTheIdlestOfWhoHoldsTheMostGivesWay(t *testing.T) {
	for name, c := range map[string]struct {
		held []string // who holds something, from the idlest on
		most int
		want []string // what is left
	}{
		"there is room":                           {[]string{"a", "a", "b"}, 3, []string{"a1", "a2", "b1"}},
		"the idlest of the one with the most":     {[]string{"a", "b", "b", "b"}, 3, []string{"a1", "b2", "b3"}},
		"the newest too, where it has the most":   {[]string{"b", "a", "a"}, 2, []string{"b1", "a2"}},
		"the idlest of many with one each":        {[]string{"a", "b", "c", "d"}, 3, []string{"b1", "c1", "d1"}},
		"one after the other":                     {[]string{"a", "a", "a", "b", "b", "c"}, 3, []string{"a3", "b2", "c1"}},
		"a connection that was verified is last":  {[]string{"A", "A", "A", "b", "c"}, 4, []string{"A1", "A2", "A3", "c1"}},
		"but not for ever":                        {[]string{"A", "A", "A", "b"}, 3, []string{"A2", "A3", "b1"}},
		"a trusted proxy before that":             {[]string{"p", "p", "A", "A", "b"}, 4, []string{"p2", "A1", "A2", "b1"}},
		"and behind strangers, however few":       {[]string{"b", "p", "p", "p", "c"}, 4, []string{"p1", "p2", "p3", "c1"}},
		"what stays, stays":                       {[]string{"a!", "a!", "a", "b"}, 3, []string{"a1", "a2", "b1"}},
		"and who has the most with it gives more": {[]string{"a!", "b", "b", "a", "a"}, 4, []string{"a1", "b1", "b2", "a3"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.ElementsMatch(t, c.want, starter.Crowd(c.held, c.most))
		})
	}
}

func TestTheSizeOfAllBodiesIsBounded(t *testing.T) {
	c := starter.NewBytes(100)
	small, big := c.Enter("a", 10), c.Enter("b", 50)
	require.True(t, c.Grow(big, 40))
	require.True(t, c.Grow(small, 20), "the big one gives way to it")
	require.True(t, c.Gone(big))
	require.False(t, c.Grow(big, 1))
	require.False(t, c.Grow(small, 100), "nobody has more who could give way")
	require.False(t, c.Gone(small))
}
