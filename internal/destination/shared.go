package destination

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Shared counts the use of limits over all workers, in the Redis that the configuration names as
// rate_store. While Redis is away each worker counts for itself: no event fails because of it.
type Shared struct {
	client redis.UniversalClient
	// away is the time until which Redis is not asked, after a failure, in Unix nanoseconds.
	away atomic.Int64
}

// OpenShared makes a Shared on the Redis of a URL. Redis need not run yet.
func OpenShared(url string) (*Shared, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		// The parser's message may hold the URL, and with it a password.
		return nil, errors.New("rate_store: the URL can't be used, write it as redis://host:6379/0")
	}
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = sharedWithin, sharedWithin, sharedWithin
	o.ContextTimeoutEnabled = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DisableIdentity = true
	return NewShared(redis.NewClient(o)), nil
}

// NewShared makes a Shared on a Redis client, which the caller closes.
func NewShared(c redis.UniversalClient) *Shared { return &Shared{client: c} }

const (
	// sharedWithin is the most that a delivery waits for Redis.
	sharedWithin = 100 * time.Millisecond
	// sharedPause is how long Redis is left alone after it has not answered.
	sharedPause = 2 * time.Second
	// leaseTime is how long a delivery goes on counting when its worker has died. It is longer
	// than any time-out that can be configured.
	leaseTime = 11 * time.Minute
)

func (s *Shared) do(fn func(ctx context.Context) error) (known bool) {
	if time.Now().UnixNano() < s.away.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), sharedWithin)
	defer cancel()
	if err := fn(ctx); err != nil {
		s.away.Store(time.Now().Add(sharedPause).UnixNano())
		return false
	}
	return true
}

func sharedKey(name, what string) string { return "grapnel:destination:{" + name + "}:" + what }

// acquireScript takes a lease if fewer than ARGV[1] are held.
const acquireScript = `
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], ms + ARGV[3], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`

// acquire takes a lease of a destination. ok is false when as many as most are held already;
// known is false when Redis does not answer.
func (s *Shared) acquire(name string, most int) (lease string, ok, known bool) {
	lease = rand.Text()
	known = s.do(func(ctx context.Context) error {
		n, err := s.client.Eval(ctx, acquireScript, []string{sharedKey(name, "busy")}, most, lease, leaseTime.Milliseconds()).Int()
		ok = n == 1
		return err //nolint:wrapcheck // Nobody reads it.
	})
	if !known || !ok {
		lease = ""
	}
	return lease, ok, known
}

// release gives a lease back. If Redis does not answer, the lease expires by itself.
func (s *Shared) release(name, lease string) {
	s.do(func(ctx context.Context) error {
		return s.client.ZRem(ctx, sharedKey(name, "busy"), lease).Err()
	})
}

// reserveScript reserves the next time of a rate, in microseconds of Redis' clock.
const reserveScript = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local at = tonumber(redis.call('GET', KEYS[1]) or '0')
if at < now - ARGV[2] then at = now - ARGV[2] end
redis.call('SET', KEYS[1], string.format('%.0f', at + ARGV[1]), 'PX', math.ceil((at + ARGV[1] - now) / 1000) + 60000)
return string.format('%.0f', at - now)`

// reserve reserves the next time of a rate of one delivery in each gap, and allows burst. known
// is false when Redis does not answer.
func (s *Shared) reserve(name string, gap, burst time.Duration) (wait time.Duration, known bool) {
	known = s.do(func(ctx context.Context) error {
		us, err := s.client.Eval(ctx, reserveScript, []string{sharedKey(name, "rate")}, gap.Microseconds(), burst.Microseconds()).Int64()
		wait = time.Duration(us) * time.Microsecond
		return err //nolint:wrapcheck // Nobody reads it.
	})
	return wait, known
}
