package starter

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// crowd bounds what clients hold of us before anything that they sent is verified:
// connections, or bodies and their bytes. It refuses nobody. When there is too much of it,
// whoever holds the most gives way, and of that the idlest goes first. So a stranger who
// fills the crowd cuts off its own, and a sender who holds little keeps it.
type crowd struct {
	// cut ends what gives way.
	cut func(g *guest)

	mu    sync.Mutex
	most  int
	bytes int64
	// mostBytes bounds bytes; 0 is no bound.
	mostBytes int64
	held      map[*holding]struct{}
	// freed is closed when something leaves; nil while nobody waits for it.
	freed chan struct{}
}

// holding is one thing that a client holds: a connection or a body.
type holding struct {
	// client is who holds it; all of an IPv6 network of 64 bits is one client.
	client netip.Addr
	conn   *guest
	// The crowd's lock guards what follows.
	bytes int64
	// stays is set while it must not give way.
	stays bool
	// gone is set when it has left or given way.
	gone bool
}

func newCrowd(most int, mostBytes int64, cut func(*guest)) *crowd {
	return &crowd{cut: cut, most: most, mostBytes: mostBytes, held: map[*holding]struct{}{}}
}

// bound changes how many there may be.
func (c *crowd) bound(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most = most
}

// enter adds a holding, and makes others give way where there are too many. It tells
// whether there was room.
func (c *crowd) enter(h *holding) bool {
	c.mu.Lock()
	c.held[h] = struct{}{}
	c.bytes += h.bytes
	var out []*holding
	fits := len(c.held) <= c.most
	if !fits {
		// Several at once, as it takes a look at all of them to find one.
		out = c.giveWay(h, 1+c.most/128, func(*holding) int64 { return 1 })
		fits = len(out) > 0
	}
	if c.mostBytes > 0 && c.bytes > c.mostBytes {
		out = append(out, c.giveWay(h, 1, bytesOf)...)
	}
	c.mu.Unlock()
	c.cutAll(out)
	return fits
}

// leave takes a holding out. It may be called more than once.
func (c *crowd) leave(h *holding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(h)
}

// stay says whether a holding must not give way.
func (c *crowd) stay(h *holding, stays bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.stays = stays
}

// evicted tells whether a holding had to give way.
func (c *crowd) evicted(h *holding) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return h.gone
}

// growWithin is how long a holding that needs more bytes waits for others to leave.
const growWithin = 250 * time.Millisecond

// grow adds bytes to a holding. It is false when there is no room for them, or the
// holding itself had to give way.
func (c *crowd) grow(h *holding, n int64) bool {
	timer := time.NewTimer(growWithin)
	defer timer.Stop()
	for {
		ok, freed, out := c.tryGrow(h, n)
		c.cutAll(out)
		if ok || freed == nil {
			return ok
		}
		select {
		case <-freed:
		case <-timer.C:
			return false
		}
	}
}

// tryGrow adds bytes where there is room or somebody gives way. Otherwise freed is closed
// when it is worth another try; it is nil when none is.
func (c *crowd) tryGrow(h *holding, n int64) (ok bool, freed <-chan struct{}, out []*holding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !h.gone {
		if c.bytes+n <= c.mostBytes {
			h.bytes += n
			c.bytes += n
			return true, nil, out
		}
		more := c.giveWay(h, 1, bytesOf)
		if len(more) == 0 {
			if c.freed == nil {
				c.freed = make(chan struct{})
			}
			return false, c.freed, out
		}
		out = append(out, more...)
	}
	return false, nil, out
}

// clientRank orders clients: those of a lower rank give way before all others.
type clientRank int

const (
	stranger clientRank = iota
	proxy               // It is trusted, and many clients may be behind it.
	vouched             // A request that came by this connection was verified.
)

type holder struct {
	rank   clientRank
	client netip.Addr
}

func (h *holding) holder() holder { return holder{h.conn.rank(), h.client} }

func bytesOf(h *holding) int64 { return h.bytes }

// giveWay takes up to n holdings out, all of one client, the idlest first. The caller
// holds the lock and cuts them off.
func (c *crowd) giveWay(newest *holding, n int, weight func(*holding) int64) []*holding {
	worst, found := c.worst(newest, weight)
	if !found {
		return nil
	}
	var out []*holding
	for h := range c.held {
		if h != newest && !h.stays && h.holder() == worst {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b *holding) int { return cmp.Compare(a.conn.active.Load(), b.conn.active.Load()) })
	out = out[:min(n, len(out))]
	for _, h := range out {
		c.remove(h)
	}
	return out
}

// worst finds the client that is to give way: of the lowest rank, and in that the one who
// holds the most, but no less than the client of newest; of several, the one with the
// idlest. The caller holds the lock.
func (c *crowd) worst(newest *holding, weight func(*holding) int64) (worst holder, found bool) {
	total, idlest := map[holder]int64{}, map[holder]int64{}
	for h := range c.held {
		who := h.holder()
		total[who] += weight(h)
		if since := h.conn.active.Load(); h != newest && !h.stays && (idlest[who] == 0 || since < idlest[who]) {
			idlest[who] = since
		}
	}
	own := newest.holder()
	for who, since := range idlest {
		if who.rank == own.rank && total[who] < total[own] {
			continue
		}
		if !found || cmp.Or(cmp.Compare(who.rank, worst.rank), cmp.Compare(total[worst], total[who]),
			cmp.Compare(since, idlest[worst])) < 0 {
			worst, found = who, true
		}
	}
	return worst, found
}

// remove takes a holding out. The caller holds the lock.
func (c *crowd) remove(h *holding) {
	if h.gone {
		return
	}
	h.gone = true
	delete(c.held, h)
	c.bytes -= h.bytes
	if c.freed != nil {
		close(c.freed)
		c.freed = nil
	}
}

func (c *crowd) cutAll(out []*holding) {
	for _, h := range out {
		c.cut(h.conn)
	}
}
