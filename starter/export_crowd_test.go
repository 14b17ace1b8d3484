package starter

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"unicode"
)

func clientOf(name string) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, 2, name[0]})
}

// Crowd lets clients enter a crowd one after the other, each idler than the next, and
// gives what is left. An upper-case letter is a client whose connection was verified, p a
// trusted proxy, and ! says that it stays.
func Crowd(clients []string, most int) (left []string) {
	names, count := map[*holding]string{}, map[string]int{}
	c := newCrowd(most, 0, func(*guest) {})
	for i, name := range clients {
		g := &guest{proxied: name == "p"}
		g.vouched.Store(unicode.IsUpper(rune(name[0])))
		g.active.Store(int64(i + 1))
		h := &holding{client: clientOf(name), conn: g, stays: strings.HasSuffix(name, "!")}
		count[name[:1]]++
		names[h] = fmt.Sprint(name[:1], count[name[:1]])
		c.enter(h)
	}
	for h := range c.held {
		left = append(left, names[h])
	}
	return left
}

// Bytes is a crowd whose bytes are bounded.
type Bytes struct{ *crowd }

// Holding is what a client holds in it.
type Holding = holding

// NewBytes makes one.
func NewBytes(most int64) Bytes { return Bytes{newCrowd(1000, most, func(*guest) {})} }

// Enter lets a client in with so many bytes.
func (b Bytes) Enter(client string, n int64) *Holding {
	var c net.Conn
	h := &holding{client: clientOf(client), conn: &guest{Conn: c}, bytes: n}
	b.enter(h)
	return h
}

// Grow gives it more, and Gone tells whether it had to give way.
func (b Bytes) Grow(h *Holding, n int64) bool { return b.grow(h, n) }

// Gone tells whether it had to give way.
func (b Bytes) Gone(h *Holding) bool { return b.evicted(h) }

// Chunks reads a chunked body.
func Chunks(r io.Reader) io.Reader { return &chunks{from: r} }
