package starter_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/starter"
)

func TestRateOfASource(t *testing.T) {
	w := openDoor(t, "sources:\n"+source("a", "rate_limit: {rate: 0.5, burst: 2}")+source("b", "rate_limit: {rate: 1}"))

	for range 5 {
		require.Equal(t, http.StatusUnauthorized, w.post(t, "a", "{}").status, "a forged request takes nothing")
	}
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status)
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status)
	r := w.post(t, "a", "{}", token()...)
	require.Equal(t, http.StatusTooManyRequests, r.status)
	require.Equal(t, "2", r.header.Get("Retry-After"))
	require.Equal(t, "2", r.header.Get("X-RateLimit-Limit"))
	require.Equal(t, "0", r.header.Get("X-RateLimit-Remaining"))
	require.Equal(t, "4", r.header.Get("X-RateLimit-Reset"))
	require.Equal(t, http.StatusOK, w.post(t, "b", "{}", token()...).status, "another source has its own")

	w.now.advance(time.Second)
	require.Equal(t, "1", w.post(t, "a", "{}", token()...).header.Get("Retry-After"))
	w.now.advance(time.Second)
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status)
	require.EqualValues(t, 4, w.engine.started.Load())
}

func TestRateOfAClient(t *testing.T) {
	const proxied = "trusted_proxies: [127.0.0.1]\nsources:\n"
	for _, test := range []struct {
		name          string
		first, second string
		shared        bool
	}{
		{"two IPv4 addresses", "192.0.2.1", "192.0.2.2", false},
		{"an address written as an IPv6 one", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"two addresses of one IPv6 network", "2001:db8::1", "2001:db8:0:0:ffff::2", true},
		{"two IPv6 networks", "2001:db8::1", "2001:db8:0:1::1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := openDoor(t, proxied+source("a", "rate_limit_ip: {rate: 0.1, burst: 1}")+source("b", "rate_limit_ip: {rate: 0.1, burst: 1}"))
			require.Equal(t, http.StatusUnauthorized, w.post(t, "a", "{}", "X-Forwarded-For", test.first).status, "counted before it is verified")
			r := w.post(t, "a", "{}", append(token(), "X-Forwarded-For", test.first)...)
			require.Equal(t, http.StatusTooManyRequests, r.status)
			require.Equal(t, "10", r.header.Get("Retry-After"))
			require.Empty(t, r.header.Get("X-RateLimit-Limit"), "strangers are not told")
			want := http.StatusOK
			if test.shared {
				want = http.StatusTooManyRequests
			}
			require.Equal(t, want, w.post(t, "a", "{}", append(token(), "X-Forwarded-For", test.second)...).status)
			require.Equal(t, http.StatusOK, w.post(t, "b", "{}", append(token(), "X-Forwarded-For", test.first)...).status)
		})
	}
}

func TestBucketsSurviveAReload(t *testing.T) {
	w := openDoor(t, "sources:\n"+source("a", "rate_limit: {rate: 0.1, burst: 2}"))
	for range 2 {
		require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status)
	}
	w.reload(t, "sources:\n"+source("a", "rate_limit: {rate: 0.1, burst: 2}"))
	require.Equal(t, http.StatusTooManyRequests, w.post(t, "a", "{}", token()...).status)

	w.reload(t, "sources:\n"+source("a", "rate_limit: {rate: 0.5, burst: 5}"))
	r := w.post(t, "a", "{}", token()...)
	require.Equal(t, http.StatusTooManyRequests, r.status, "another rate fills no bucket")
	require.Equal(t, "2", r.header.Get("Retry-After"))
	require.Equal(t, "5", r.header.Get("X-RateLimit-Limit"))

	w.reload(t, "sources:\n"+source("a"))
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status)
}

func TestClientBucketsAreBounded(t *testing.T) {
	kept, limited := starter.FillClientBuckets(3, 10)
	require.Equal(t, 3, kept)
	require.True(t, limited, "the bucket used last is still there")
}

func TestRateIsSharedThroughRedis(t *testing.T) {
	redis := miniredis.RunT(t)
	yaml := "rate_store: redis://" + redis.Addr() + "/0\nsources:\n" +
		source("a", "rate_limit: {rate: 0.01, burst: 3}", "rate_limit_ip: {rate: 0.01, burst: 100}")
	first, second := openDoor(t, yaml), openDoor(t, yaml)
	require.Equal(t, http.StatusOK, first.post(t, "a", "{}", token()...).status)
	require.Equal(t, http.StatusOK, second.post(t, "a", "{}", token()...).status)
	require.Equal(t, http.StatusOK, first.post(t, "a", "{}", token()...).status)
	for _, w := range []*doorway{first, second} {
		r := w.post(t, "a", "{}", token()...)
		require.Equal(t, http.StatusTooManyRequests, r.status)
		wait, err := strconv.Atoi(r.header.Get("Retry-After"))
		require.NoError(t, err)
		require.InDelta(t, 100, wait, 60)
		require.Equal(t, "3", r.header.Get("X-RateLimit-Limit"))
	}
}

func TestRedisAwayRefusesNothing(t *testing.T) {
	redis := miniredis.RunT(t)
	w := openDoor(t, "rate_store: redis://"+redis.Addr()+"/0\nsources:\n"+source("a", "rate_limit: {rate: 0.01, burst: 2}"))
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status)
	redis.Close()
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status, "its own buckets are full")
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status)
	require.Equal(t, http.StatusTooManyRequests, w.post(t, "a", "{}", token()...).status, "and they count")
	require.Equal(t, 1, w.logs.FilterMessageSnippet("rate store is away").Len(), "said once")

	require.NoError(t, redis.Restart())
	require.Eventually(t, func() bool { return w.logs.FilterMessageSnippet("rate store is back").Len() == 1 }, time.Minute, 10*time.Millisecond)
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status, "of three one was taken there")
}

func TestRedisThatDoesNotAnswerIsNotWaitedFor(t *testing.T) {
	silent := silentServer(t)
	w := openDoor(t, "rate_store: redis://"+silent+"/0\nsources:\n"+source("a", "rate_limit: {rate: 0.01, burst: 1}"))
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", token()...).status)
	require.Equal(t, http.StatusTooManyRequests, w.post(t, "a", "{}", token()...).status)
	require.Equal(t, 1, w.logs.FilterMessageSnippet("rate store is away").Len())
}
