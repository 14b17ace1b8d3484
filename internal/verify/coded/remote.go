package coded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/grapnel/grapnel/internal/verify"
)

const (
	// maxCached bounds the documents of one cache. Each AWS region has one current certificate.
	maxCached = 128
	// maxFailures bounds the remembered failures of one cache.
	maxFailures = 512
	// maxFlights bounds the fetches of documents never seen that are under way at once.
	maxFlights = 32
	// clientBurst and clientEvery are the token bucket of each client for fetches of documents
	// never seen. The URL of a certificate comes from a request nobody has verified yet, so a
	// stranger can ask for a fetch, though only from a host we trust. It uses up its own bucket,
	// not the senders'.
	clientBurst = 5
	clientEvery = 10 * time.Second
	// maxClients bounds the buckets.
	maxClients = 4096
	// fetchBurst and fetchEvery are the bucket of all clients together, for the host's sake.
	fetchBurst = 100
	fetchEvery = 100 * time.Millisecond
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

// remoteCache keeps documents that were fetched from trusted URLs. Their number is bounded, a URL
// is fetched once at a time, failures are remembered for a while, and the rate of fetches is
// limited. Its clock is the time of the requests, so that a request and the certificate that
// verifies it are judged at the same time.
type remoteCache[T any] struct {
	parse func(url string, document []byte, now time.Time) (remoteDoc[T], error)

	mu       sync.Mutex
	docs     *lru.LRU[string, remoteDoc[T]]
	failures *lru.LRU[string, remoteFailure]
	flights  map[string]*remoteFlight[T]
	// strange counts the flights to documents never seen.
	strange  int
	all      *rate.Limiter
	byClient *lru.LRU[string, *rate.Limiter]
}

// remoteFailure is a failed fetch and the time until which it is not tried again.
type remoteFailure struct {
	err   error
	until time.Time
}

// remoteFlight is a fetch under way; done is closed when doc and err are set.
type remoteFlight[T any] struct {
	done    chan struct{}
	doc     remoteDoc[T]
	err     error
	strange int // 1 when it counts as one to a document never seen
}

// newRemoteCache returns an empty cache of what parse reads and judges.
func newRemoteCache[T any](parse func(string, []byte, time.Time) (remoteDoc[T], error)) *remoteCache[T] {
	// These fail for no size but 0.
	byClient, _ := lru.NewLRU[string, *rate.Limiter](maxClients, nil)
	docs, _ := lru.NewLRU[string, remoteDoc[T]](maxCached, nil)
	failures, _ := lru.NewLRU[string, remoteFailure](maxFailures, nil)
	return &remoteCache[T]{
		parse: parse, all: rate.NewLimiter(rate.Every(fetchEvery), fetchBurst), byClient: byClient,
		docs: docs, failures: failures, flights: map[string]*remoteFlight[T]{},
	}
}

// get returns the document behind url. A caller that found the document of time seen wanting passes
// that time and gets a later one, if the least time between fetches has passed; else seen is zero.
func (c *remoteCache[T]) get(o verify.Options, url string, seen time.Time) (remoteDoc[T], error) {
	now := o.Instant()
	c.mu.Lock()
	doc, have := c.docs.Peek(url) // Which one gives way is decided by when it was fetched, not by its use.
	if have && now.Before(doc.fresh) && (doc.fetched.After(seen) || now.Sub(doc.fetched) < refetchAfter) {
		c.mu.Unlock()
		return doc, nil
	}
	flight, err := c.board(o, url, have)
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

// board joins the flight for url or starts one. A document that is known is read again whatever
// else is asked for: it was found good once, which no stranger's address is. Others are fetched
// within the bounds. The lock is held.
func (c *remoteCache[T]) board(o verify.Options, url string, known bool) (*remoteFlight[T], error) {
	now := o.Instant()
	if flight, under := c.flights[url]; under {
		return flight, nil
	}
	if failure, failed := c.failures.Peek(url); failed && now.Before(failure.until) {
		return nil, failure.err
	}
	if o.Fetch == nil {
		return nil, errNoFetch
	}
	flight := &remoteFlight[T]{done: make(chan struct{})}
	if !known {
		if c.strange >= maxFlights || !c.spend(o.Client, now) {
			return nil, errFetchBusy
		}
		flight.strange = 1
		c.strange++
	}
	c.flights[url] = flight
	go c.fly(flight, o.Fetch, url, now)
	return flight, nil
}

// spend takes a token from the client's bucket and from that of all. The lock is held.
func (c *remoteCache[T]) spend(client string, now time.Time) bool {
	own, ok := c.byClient.Get(client)
	if !ok {
		own = rate.NewLimiter(rate.Every(clientEvery), clientBurst)
		c.byClient.Add(client, own)
	}
	return own.AllowN(now, 1) && c.all.AllowN(now, 1)
}

// fly fetches on a context of its own, so that a caller who goes away spoils nothing for the
// others. now is the time at its start; what the fetch takes is added to it.
func (c *remoteCache[T]) fly(flight *remoteFlight[T], fetch verify.Fetch, url string, now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	began := time.Now()
	flight.doc, flight.err = c.load(ctx, fetch, url, now)
	now = now.Add(time.Since(began))
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(flight.done)
	delete(c.flights, url)
	c.strange -= flight.strange
	if flight.err != nil {
		c.failures.Add(url, remoteFailure{err: flight.err, until: now.Add(retryAfterFailure(flight.err))})
		return
	}
	c.failures.Remove(url)
	c.docs.Add(url, flight.doc)
}

// load fetches one document, parses it and judges it at a time.
func (c *remoteCache[T]) load(ctx context.Context, fetch verify.Fetch, url string, now time.Time) (remoteDoc[T], error) {
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

const (
	// maxRemoteBytes bounds a fetched document. Signing certificates with their chain are about
	// 6 KiB, the largest published key sets about 20 KiB.
	maxRemoteBytes = 256 << 10
	// fetchTimeout bounds one fetch from the dial to the last byte.
	fetchTimeout = 5 * time.Second
)

// FetchError tells that a server answered a fetch with a status other than 200.
type FetchError struct {
	// Status is the HTTP status of the answer.
	Status int
}

// Error implements error.
func (e *FetchError) Error() string {
	return fmt.Sprintf("the server answered %d, expected 200; redirects are not followed", e.Status)
}

// definite reports whether the same fetch would fail again a minute later.
func (e *FetchError) definite() bool {
	return e.Status < 500 && e.Status != http.StatusTooManyRequests && e.Status != http.StatusRequestTimeout
}

// HTTPFetch returns a Fetch over client's transport. A redirect is refused, cookies are not kept,
// one fetch takes at most 5 s and reads at most 256 KiB. A nil client means Go's default transport.
func HTTPFetch(client *http.Client) verify.Fetch {
	own := &http.Client{
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if client != nil {
		own.Transport = client.Transport
	}
	return func(ctx context.Context, url string) (_ []byte, err error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, fmt.Errorf("build the request: %w", err)
		}
		response, err := own.Do(request)
		if err != nil {
			return nil, fmt.Errorf("fetch the document: %w", err)
		}
		defer func() { err = errors.Join(err, response.Body.Close()) }()
		return readDocument(response)
	}
}

// readDocument reads the body of a 200 answer, refusing one that is too large.
func readDocument(response *http.Response) ([]byte, error) {
	if response.StatusCode != http.StatusOK {
		return nil, &FetchError{Status: response.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxRemoteBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	if len(body) > maxRemoteBytes {
		return nil, fmt.Errorf("%w: it is over %d bytes", errDocument, maxRemoteBytes)
	}
	return body, nil
}

// fetchContext bounds a fetch by the caller's context and by fetchTimeout.
func fetchContext(o verify.Options) (context.Context, context.CancelFunc) {
	parent := o.Context
	if parent == nil {
		parent = context.Background()
	}
	return context.WithTimeout(parent, fetchTimeout)
}

// retryAfterFailure says how long a failure is remembered.
func retryAfterFailure(err error) time.Duration {
	if definiteFetch(err) {
		return retryDefinite
	}
	return retryTemporary
}

// definiteFetch reports whether a fetch failed because of what the server holds, not because of the
// way to it.
func definiteFetch(err error) bool {
	if refused, ok := errors.AsType[*FetchError](err); ok {
		return refused.definite()
	}
	return errors.Is(err, errDocument)
}
