package starter

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/grapnel/grapnel/internal/config"
)

// limits holds the token buckets of all sources. They survive a reload.
type limits struct {
	// bySource holds a bucket for each source, byClient one for each client of each source. They
	// are separate so that strangers can't push a source's bucket out.
	bySource, byClient *buckets
	// shared holds the buckets that all replicas share; nil without rate_store.
	shared *sharedBuckets
	now    func() time.Time
}

// maxClients bounds the memory for the buckets of clients to some 20 MB. A bucket that has to
// make room would usually be full again by then, unless somebody commands that many addresses.
const maxClients = 1 << 16

// maxSources is more sources than any configuration has.
const maxSources = 1 << 16

func newLimits(shared *sharedBuckets, now func() time.Time) *limits {
	return &limits{bySource: newBuckets(maxSources), byClient: newBuckets(maxClients), shared: shared, now: now}
}

// grant is a bucket's answer to a request for a token.
type grant struct {
	ok bool
	// limit is how many tokens a full bucket holds, remaining how many this one holds.
	limit, remaining int
	// retry is the time until the next token, reset the time until the bucket is full.
	retry, reset time.Duration
}

// source takes a token from a source's bucket.
func (l *limits) source(name string, r config.Rate) grant {
	return l.take(l.bySource, "source:"+name, r)
}

// client takes a token from the bucket of one client of a source. A whole IPv6 network of 64 bits
// is one client, because nobody is given a smaller one.
func (l *limits) client(name string, a netip.Addr, r config.Rate) grant {
	who := a.String()
	if a.Is6() {
		who = networkOf(a).String() + "/64"
	}
	return l.take(l.byClient, "client:"+name+":"+who, r)
}

// networkOf gives the smallest network that anybody is given: an IPv4 address itself, the first
// 64 bits of an IPv6 address.
func networkOf(a netip.Addr) netip.Addr {
	if p, err := a.Prefix(64); a.Is6() && err == nil {
		return p.Addr()
	}
	return a
}

// take takes a token from the shared bucket of a key, or from the local one while there is no
// shared one.
func (l *limits) take(local *buckets, key string, r config.Rate) grant {
	if l.shared != nil {
		if g, ok := l.shared.take(key, r); ok {
			return g
		}
	}
	return takeToken(local.get(key, r, l.now()), l.now())
}

// takeToken takes a token from a bucket, if it holds one.
func takeToken(b *rate.Limiter, now time.Time) grant {
	ok := b.AllowN(now, 1)
	tokens, perSecond, burst := b.TokensAt(now), float64(b.Limit()), b.Burst()
	g := grant{ok: ok, limit: burst, remaining: max(int(tokens), 0), reset: boundedSeconds((float64(burst) - tokens) / perSecond)}
	if !ok {
		g.retry = boundedSeconds((1 - tokens) / perSecond)
	}
	return g
}

// burstOf gives the number of tokens in a full bucket of a rate.
func burstOf(r config.Rate) int {
	if r.Burst > 0 {
		return r.Burst
	}
	return max(int(math.Ceil(r.Rate)), 1)
}

// maxWait is the longest wait that an answer names: at a rate of nearly 0 it would have no end.
const maxWait = 24 * time.Hour

func boundedSeconds(s float64) time.Duration {
	if s >= maxWait.Seconds() {
		return maxWait
	}
	return time.Duration(max(s, 0) * float64(time.Second))
}

// buckets holds token buckets by key. When it is full, the bucket that was not used for the
// longest time makes room for a new one.
type buckets struct {
	mu    sync.Mutex
	byKey *lru.LRU[string, *rate.Limiter]
}

func newBuckets(size int) *buckets {
	byKey, _ := lru.NewLRU[string, *rate.Limiter](size, nil) // It fails for no size but 0.
	return &buckets{byKey: byKey}
}

// get gives the bucket of a key; a new bucket is full. When the rate has changed, the bucket
// keeps its tokens, as far as it has room for them.
func (b *buckets) get(key string, r config.Rate, now time.Time) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.byKey.Get(key)
	if !ok {
		l = rate.NewLimiter(rate.Limit(r.Rate), burstOf(r))
		b.byKey.Add(key, l)
	}
	if l.Limit() != rate.Limit(r.Rate) {
		l.SetLimitAt(now, rate.Limit(r.Rate))
	}
	if l.Burst() != burstOf(r) {
		l.SetBurstAt(now, burstOf(r))
	}
	return l
}

// sharedBuckets holds token buckets in Redis, which all replicas share. While Redis is away each
// replica counts for itself, so that no event waits or is refused because of it.
type sharedBuckets struct {
	client  *redis.Client
	limiter *redis_rate.Limiter
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	// away is set from a failure until a probe succeeds.
	away  atomic.Bool
	alive context.Context //nolint:containedctx // Ends the probing with the receiver.
	log   *zap.Logger
}

const (
	// sharedWithin is the longest time that a request waits for Redis.
	sharedWithin = 50 * time.Millisecond
	// probeEvery is how often a Redis that is away is probed, probeWithin how long a
	// probe may take.
	probeEvery  = time.Second
	probeWithin = time.Second
)

// newSharedBuckets connects to the Redis of a URL. If Redis is away it logs that, and probes
// Redis until alive ends.
func newSharedBuckets(alive context.Context, url string, log *zap.Logger) (*sharedBuckets, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		// The parser's message may hold the URL, and with it a password.
		return nil, errors.New("rate_store: the URL can't be used, write it as redis://host:6379/0")
	}
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = probeWithin, probeWithin, probeWithin
	o.ContextTimeoutEnabled = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DisableIdentity = true
	s := &sharedBuckets{dial: redis.NewDialer(o), client: redis.NewClient(o), alive: alive, log: log}
	s.limiter = redis_rate.NewLimiter(s.client)
	if err := s.probe(alive); err != nil {
		s.lost(alive, err)
	}
	return s, nil
}

// take takes a token; ok is false when Redis does not answer.
func (s *sharedBuckets) take(key string, r config.Rate) (g grant, ok bool) {
	if s.away.Load() {
		return grant{}, false
	}
	ctx, cancel := context.WithTimeout(s.alive, sharedWithin)
	defer cancel()
	limit := redis_rate.Limit{Rate: 1, Burst: burstOf(r), Period: tokenPeriod(r)}
	res, err := s.limiter.Allow(ctx, "grapnel:"+key, limit)
	if err != nil {
		s.lost(s.alive, err)
		return grant{}, false
	}
	return grant{
		ok: res.Allowed > 0, limit: limit.Burst, remaining: res.Remaining,
		retry: max(res.RetryAfter, 0), reset: max(res.ResetAfter, 0),
	}, true
}

// tokenPeriod gives the time in which a bucket gains one token.
func tokenPeriod(r config.Rate) time.Duration {
	return time.Duration(math.Min(float64(time.Second)/r.Rate, float64(maxWait)))
}

// lost notes that Redis does not answer, and begins to probe Redis.
func (s *sharedBuckets) lost(alive context.Context, err error) {
	if alive.Err() != nil || !s.away.CompareAndSwap(false, true) {
		return
	}
	s.log.Warn("the rate store is away; each process counts for itself until it is back", zap.Error(err))
	go s.find(alive)
}

// find probes Redis until it answers.
func (s *sharedBuckets) find(alive context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-alive.Done():
			return
		case <-tick.C:
		}
		if s.probe(alive) == nil {
			s.away.Store(false)
			s.log.Info("the rate store is back")
			return
		}
	}
}

// probe takes a token from a bucket of its own. It first opens a connection itself, because the
// Redis client writes each failure to the standard error.
func (s *sharedBuckets) probe(alive context.Context) error {
	ctx, cancel := context.WithTimeout(alive, probeWithin)
	defer cancel()
	o := s.client.Options()
	conn, err := s.dial(ctx, o.Network, o.Addr)
	if err != nil {
		return err //nolint:wrapcheck // The log line says what it was for.
	}
	_ = conn.Close()
	// A ping would not do: a Redis that can't be written to answers it too.
	_, err = s.limiter.Allow(ctx, "grapnel:probe", redis_rate.PerSecond(1))
	return err //nolint:wrapcheck // As above.
}

func (s *sharedBuckets) close() { _ = s.client.Close() }
