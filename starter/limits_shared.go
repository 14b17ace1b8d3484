package starter

import (
	"context"
	"errors"
	"math"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
)

// sharedBuckets are token buckets in Redis, which all replicas take from. While
// Redis is away each replica counts for itself: no event is refused, and none
// waits, because of it.
type sharedBuckets struct {
	client  *redis.Client
	limiter *redis_rate.Limiter
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	// away is set from a failure until a probe finds Redis well.
	away  atomic.Bool
	alive context.Context //nolint:containedctx // Ends the probing with the receiver.
	log   *zap.Logger
}

const (
	// sharedWithin is the most that a request waits for Redis.
	sharedWithin = 50 * time.Millisecond
	// probeEvery and probeWithin are how an absent Redis is looked for.
	probeEvery  = time.Second
	probeWithin = time.Second
)

// newSharedBuckets connects to the Redis of a URL, or says that it is away and
// goes on looking for it until alive ends.
func newSharedBuckets(alive context.Context, url string, log *zap.Logger) (*sharedBuckets, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		// Its message may hold the URL, and that a password.
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

// take takes a token; ok is false when Redis can't say now.
func (s *sharedBuckets) take(key string, r config.Rate) (g grant, ok bool) {
	if s.away.Load() {
		return grant{}, false
	}
	ctx, cancel := context.WithTimeout(s.alive, sharedWithin)
	defer cancel()
	limit := redis_rate.Limit{Rate: 1, Burst: burst(r), Period: period(r)}
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

// period is the time in which one token comes in.
func period(r config.Rate) time.Duration {
	return time.Duration(math.Min(float64(time.Second)/r.Rate, float64(maxWait)))
}

// lost notes that Redis does not answer, and begins to look for it.
func (s *sharedBuckets) lost(alive context.Context, err error) {
	if alive.Err() != nil || !s.away.CompareAndSwap(false, true) {
		return
	}
	s.log.Warn("the rate store is away; each process counts for itself until it is back", zap.Error(err))
	go s.find(alive)
}

// find waits until Redis answers.
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

// probe asks whether Redis counts. It connects by itself first, because the
// client writes about each failure to the standard error.
func (s *sharedBuckets) probe(alive context.Context) error {
	ctx, cancel := context.WithTimeout(alive, probeWithin)
	defer cancel()
	o := s.client.Options()
	conn, err := s.dial(ctx, o.Network, o.Addr)
	if err != nil {
		return err //nolint:wrapcheck // The log line says what it was for.
	}
	_ = conn.Close()
	// What is wanted of it, and not only a sign of life: it may take no writes.
	_, err = s.limiter.Allow(ctx, "grapnel:probe", redis_rate.PerSecond(1))
	return err //nolint:wrapcheck // As above.
}

func (s *sharedBuckets) close() { _ = s.client.Close() }
