package starter

import (
	"net/netip"
	"time"

	"github.com/grapnel/grapnel/internal/config"
)

// FillClientBuckets uses the buckets of ever new clients, and tells how many are
// kept and whether the last client is limited.
func FillClientBuckets(size, clients int) (kept int, limited bool) {
	l := newLimits(nil, func() time.Time { return time.Unix(0, 0) })
	l.byClient = newBuckets(size)
	r := config.Rate{Rate: 1, Burst: 1}
	a := netip.MustParseAddr("192.0.2.0")
	for range clients {
		a = a.Next()
		l.client("a", a, r)
	}
	return l.byClient.byKey.Len(), !l.client("a", a, r).ok && l.byClient.byKey.Len() == size
}

// ParseForwarded gives the addresses of a Forwarded header.
func ParseForwarded(text string) (addresses []netip.Addr, protos []string, ok bool) {
	hops, ok := parseForwarded(text)
	for _, h := range hops {
		addresses, protos = append(addresses, h.address), append(protos, h.proto)
	}
	return addresses, protos, ok
}

// ParseList reads a list of addresses and tells which of some are in it.
func ParseList(text, key string) (contains func(netip.Addr) bool, err error) {
	r, err := parseList([]byte(text), key)
	return r.Contains, err
}

// TellUnnamed gives peers with the header of a proxy, and tells which of them would
// be warned of and after which it is said that no more are.
func TellUnnamed(peers []netip.Addr) (told []netip.Addr, last netip.Addr) {
	u := newUnnamedPeers(nil)
	for _, p := range peers {
		end, first := u.note(p)
		if first {
			told = append(told, p)
		}
		if end {
			last = p
		}
	}
	return told, last
}

// MaxUnnamed is the bound under test.
const MaxUnnamed = maxUnnamed

// SeenEvents is the receiver's memory of events that Temporal has.
type SeenEvents struct{ *seenEvents }

// SeenSize is how many of them each half remembers.
const SeenSize = seenSize

// NewSeenEvents makes an empty memory with a clock.
func NewSeenEvents(now func() time.Time) SeenEvents { return SeenEvents{newSeenEvents(now)} }

func (s SeenEvents) Note(id, digest string) (known, often bool) { return s.note(id, digest) }
func (s SeenEvents) Add(id, digest string)                      { s.add(id, digest) }
func (s SeenEvents) Revive(id string, every time.Duration) bool { return s.revive(id, every) }
func (s SeenEvents) Unrevive(id string)                         { s.unrevive(id) }
func (s SeenEvents) Len() int                                   { return len(s.recent) + len(s.older) }
