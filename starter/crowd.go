package starter

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// crowd bounds what clients hold before anything that they sent is verified: connections, or
// bodies and their bytes. It refuses nobody. When there is too much, the client that holds the
// most loses something, the idlest first. So a stranger who fills the crowd loses its own
// connections, and a sender who holds little keeps them.
type crowd struct {
	// cut ends a holding that gives way.
	cut func(g *guest)

	mu    sync.Mutex
	most  int
	bytes int64
	// mostBytes is the bound of bytes; 0 is no bound.
	mostBytes int64
	held      map[*holding]struct{}
	// freed is closed when a holding leaves; nil while nobody waits for that.
	freed chan struct{}
}

// holding is one thing that a client holds: a connection or a body.
type holding struct {
	// client is the address of whoever holds it; a whole IPv6 network of 64 bits counts as one
	// client.
	client netip.Addr
	conn   *guest
	// The crowd's lock guards the fields from here on.
	bytes int64
	// stays is set while the holding must not give way.
	stays bool
	// gone is set when the holding has left or given way.
	gone bool
}

func newCrowd(most int, mostBytes int64, cut func(*guest)) *crowd {
	return &crowd{cut: cut, most: most, mostBytes: mostBytes, held: map[*holding]struct{}{}}
}

// bound changes the number of holdings that there may be.
func (c *crowd) bound(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most = most
}

// enter adds a holding, and makes others give way if there are too many. It tells whether there
// was room.
func (c *crowd) enter(h *holding) bool {
	c.mu.Lock()
	c.held[h] = struct{}{}
	c.bytes += h.bytes
	var out []*holding
	fits := len(c.held) <= c.most
	if !fits {
		// Several give way at once, because finding one means looking at all.
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

// leave removes a holding. It may be called more than once.
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

// grow adds bytes to a holding. It gives false if there is no room for them, or if the holding
// itself had to give way.
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

// tryGrow adds bytes if there is room or another holding gives way. Otherwise freed is a channel
// that is closed when another try may succeed; it is nil if none can.
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

// clientRank is the rank of a client: clients of a lower rank give way before all others.
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

// giveWay removes up to n holdings of one client, the idlest first. The caller holds the lock,
// and cuts them off.
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

// worst finds the client that has to give way. It is one of the lowest rank, and among these the
// one that holds the most, provided that this is no less than what the client of newest holds. If
// several hold as much, it is the one with the idlest holding. The caller holds the lock.
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

// remove removes a holding. The caller holds the lock.
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
