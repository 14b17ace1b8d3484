package starter

import (
	"container/list"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/grapnel/grapnel/internal/config"
)

// limits are the token buckets of all sources. They outlive a reload.
type limits struct {
	// bySource holds a bucket for each source, byClient one for each client of
	// each source: strangers must not drive out a source's own.
	bySource, byClient *buckets
	// shared is where all replicas count together; nil without a rate_store.
	shared *sharedBuckets
	now    func() time.Time
}

// maxClients bounds the buckets of clients to some 20 MB. The one that was not
// used for the longest time makes room for a new one; it is full again by then,
// unless somebody commands that many addresses.
const maxClients = 1 << 16

func newLimits(shared *sharedBuckets, now func() time.Time) *limits {
	return &limits{bySource: newBuckets(math.MaxInt), byClient: newBuckets(maxClients), shared: shared, now: now}
}

// grant is what a bucket answers.
type grant struct {
	ok bool
	// limit is what a full bucket holds, remaining what is in it.
	limit, remaining int
	// retry is when the next token is there, reset when the bucket is full.
	retry, reset time.Duration
}

// source takes a token of a source.
func (l *limits) source(name string, r config.Rate) grant {
	return l.take(l.bySource, "source:"+name, r)
}

// client takes a token of one client of a source. An IPv6 client is its network
// of 64 bits, the least that anybody is given.
func (l *limits) client(name string, a netip.Addr, r config.Rate) grant {
	who := a.String()
	if a.Is6() {
		who = networkOf(a).String() + "/64"
	}
	return l.take(l.byClient, "client:"+name+":"+who, r)
}

// networkOf is the least network that anybody is given around an address: an IPv4
// address itself, and 64 bits of an IPv6 one.
func networkOf(a netip.Addr) netip.Addr {
	if p, err := a.Prefix(64); a.Is6() && err == nil {
		return p.Addr()
	}
	return a
}

func (l *limits) take(local *buckets, key string, r config.Rate) grant {
	if l.shared != nil {
		if g, ok := l.shared.take(key, r); ok {
			return g
		}
	}
	return take(local.get(key, r, l.now()), l.now())
}

// take takes a token of a bucket, if there is one.
func take(b *rate.Limiter, now time.Time) grant {
	ok := b.AllowN(now, 1)
	tokens, perSecond, burst := b.TokensAt(now), float64(b.Limit()), b.Burst()
	g := grant{ok: ok, limit: burst, remaining: max(int(tokens), 0), reset: secondsOf((float64(burst) - tokens) / perSecond)}
	if !ok {
		g.retry = secondsOf((1 - tokens) / perSecond)
	}
	return g
}

// burst is what a full bucket of a rate holds.
func burst(r config.Rate) int {
	if r.Burst > 0 {
		return r.Burst
	}
	return max(int(math.Ceil(r.Rate)), 1)
}

// maxWait bounds a wait for a token, which is endless where the rate is next to
// nothing.
const maxWait = 24 * time.Hour

func secondsOf(s float64) time.Duration {
	if s >= maxWait.Seconds() {
		return maxWait
	}
	return time.Duration(max(s, 0) * float64(time.Second))
}

// buckets are token buckets by key, at most size of them.
type buckets struct {
	mu    sync.Mutex
	size  int
	byKey map[string]*list.Element
	order *list.List // most recent first
}

type bucket struct {
	key string
	*rate.Limiter
}

func newBuckets(size int) *buckets {
	return &buckets{size: size, byKey: map[string]*list.Element{}, order: list.New()}
}

// get gives the bucket of a key; a new one is full. When the rate has changed,
// what is in the bucket stays, as far as there is room for it.
func (b *buckets) get(key string, r config.Rate, now time.Time) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	el, ok := b.byKey[key]
	if !ok {
		el = b.order.PushFront(&bucket{key, rate.NewLimiter(rate.Limit(r.Rate), burst(r))})
		b.byKey[key] = el
		if b.order.Len() > b.size {
			oldest := b.order.Back()
			b.order.Remove(oldest)
			delete(b.byKey, oldest.Value.(*bucket).key) //nolint:forcetypeassert // The list holds nothing else.
		}
	}
	b.order.MoveToFront(el)
	it := el.Value.(*bucket) //nolint:forcetypeassert // The list holds nothing else.
	if it.Limit() != rate.Limit(r.Rate) {
		it.SetLimitAt(now, rate.Limit(r.Rate))
	}
	if it.Burst() != burst(r) {
		it.SetBurstAt(now, burst(r))
	}
	return it.Limiter
}
