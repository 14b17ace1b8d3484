package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// maxCached bounds the documents of one cache. Each AWS region has one current certificate.
	maxCached = 128
	// maxFailures bounds the remembered failures of one cache.
	maxFailures = 512
	// maxFlights bounds the fetches of one cache under way at once.
	maxFlights = 8
	// fetchBurst and fetchEvery are the token bucket for fetches. The URL of a certificate comes from
	// a request nobody has verified yet, so a stranger can ask for a fetch, though only from a host
	// we trust.
	fetchBurst = 20
	fetchEvery = 3 * time.Second
	// refetchAfter is the least time between two fetches of one document that were caused by a
	// key ID we did not know.
	refetchAfter = 30 * time.Second
	// retryDefinite and retryTemporary say how long a failed fetch is remembered.
	retryDefinite  = 5 * time.Minute
	retryTemporary = 5 * time.Second
)

// errFetchBusy tells that the bound on fetches is reached and the document is not at hand.
var errFetchBusy = errors.New("too many certificate or key fetches, try again later")

// errNoFetch tells that a document is needed and the caller allows no fetch.
var errNoFetch = errors.New("a certificate or key set is needed and fetching is not allowed here")

// remoteDoc is a document as the cache keeps it.
type remoteDoc[T any] struct {
	value   T
	fetched time.Time // when it was read
	fresh   time.Time // it is read again after this
	dead    time.Time // it is not used after this, even when it cannot be read again
}

// remoteCache keeps documents fetched from trusted URLs: bounded in number, one fetch per URL at a
// time, failures remembered for a while, and fetches limited in rate. Its clock is that of the
// requests: what they are judged by and what they are judged with must not disagree on the time.
type remoteCache[T any] struct {
	parse func(url string, document []byte, now time.Time) (remoteDoc[T], error)

	mu       sync.Mutex
	docs     map[string]remoteDoc[T]
	failures map[string]remoteFailure
	flights  map[string]*remoteFlight[T]
	tokens   float64
	refilled time.Time
}

// remoteFailure is a failed fetch and the time until which it is not tried again.
type remoteFailure struct {
	err   error
	until time.Time
}

// remoteFlight is a fetch under way; done is closed when doc and err are set.
type remoteFlight[T any] struct {
	done chan struct{}
	doc  remoteDoc[T]
	err  error
}

// newRemoteCache returns an empty cache of what parse reads and judges.
func newRemoteCache[T any](parse func(string, []byte, time.Time) (remoteDoc[T], error)) *remoteCache[T] {
	return &remoteCache[T]{
		parse: parse, tokens: fetchBurst,
		docs: map[string]remoteDoc[T]{}, failures: map[string]remoteFailure{}, flights: map[string]*remoteFlight[T]{},
	}
}

// get returns the document behind url. A caller that found the document of time seen wanting passes
// that time and gets a later one, if the least time between fetches has passed; else seen is zero.
func (c *remoteCache[T]) get(o Options, url string, seen time.Time) (remoteDoc[T], error) {
	now := judgedAt(o)
	c.mu.Lock()
	doc, have := c.docs[url]
	if have && now.Before(doc.fresh) && (doc.fetched.After(seen) || now.Sub(doc.fetched) < refetchAfter) {
		c.mu.Unlock()
		return doc, nil
	}
	flight, err := c.board(o.Fetch, url, now)
	c.mu.Unlock()
	if err == nil {
		var fresh remoteDoc[T]
		if fresh, err = flight.wait(o.Context); err == nil {
			return fresh, nil
		}
	}
	if have && now.Before(doc.dead) && seen.IsZero() {
		return doc, nil // Better an old key than none.
	}
	return remoteDoc[T]{}, err
}

// board joins the flight for url or starts one, within the bounds. The lock is held.
func (c *remoteCache[T]) board(fetch Fetch, url string, now time.Time) (*remoteFlight[T], error) {
	if flight, under := c.flights[url]; under {
		return flight, nil
	}
	if failure, failed := c.failures[url]; failed && now.Before(failure.until) {
		return nil, failure.err
	}
	if fetch == nil {
		return nil, errNoFetch
	}
	if len(c.flights) >= maxFlights || !c.spend(now) {
		return nil, errFetchBusy
	}
	flight := &remoteFlight[T]{done: make(chan struct{})}
	c.flights[url] = flight
	go c.fly(flight, fetch, url, now)
	return flight, nil
}

// spend takes a token from the bucket. The lock is held.
func (c *remoteCache[T]) spend(now time.Time) bool {
	if passed := now.Sub(c.refilled); passed > 0 {
		// The bucket starts full, so the time since the zero time does no harm.
		c.tokens = min(fetchBurst, c.tokens+passed.Seconds()/fetchEvery.Seconds())
		c.refilled = now
	}
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	return true
}

// fly fetches on a context of its own, so that a caller who goes away spoils nothing for the others.
// now is the time at its start; what the fetch takes is added to it.
func (c *remoteCache[T]) fly(flight *remoteFlight[T], fetch Fetch, url string, now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	began := time.Now()
	flight.doc, flight.err = c.load(ctx, fetch, url, now)
	now = now.Add(time.Since(began))
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(flight.done)
	delete(c.flights, url)
	if flight.err != nil {
		evict(c.failures, maxFailures, func(f remoteFailure) time.Time { return f.until })
		c.failures[url] = remoteFailure{err: flight.err, until: now.Add(retryAfterFailure(flight.err))}
		return
	}
	delete(c.failures, url)
	if _, known := c.docs[url]; !known {
		evict(c.docs, maxCached, func(d remoteDoc[T]) time.Time { return d.fetched })
	}
	c.docs[url] = flight.doc
}

// load fetches one document, parses it and judges it at a time.
func (c *remoteCache[T]) load(ctx context.Context, fetch Fetch, url string, now time.Time) (remoteDoc[T], error) {
	document, err := fetch(ctx, url)
	if err != nil {
		return remoteDoc[T]{}, err
	}
	if len(document) > maxRemoteBytes {
		return remoteDoc[T]{}, fmt.Errorf("%w: it is over %d bytes", errDocument, maxRemoteBytes)
	}
	return c.parse(url, document, now)
}

// wait returns what the flight brought, or the context's error when that ends first. A nil context
// never ends; the fetch itself does.
func (f *remoteFlight[T]) wait(ctx context.Context) (remoteDoc[T], error) {
	var ended <-chan struct{}
	if ctx != nil {
		ended = ctx.Done()
	}
	select {
	case <-f.done:
		return f.doc, f.err
	case <-ended:
		return remoteDoc[T]{}, ctx.Err()
	}
}
