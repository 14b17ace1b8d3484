package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// maxRemoteBytes bounds a fetched document. Signing certificates with their chain are about
	// 6 KiB, the largest published key sets about 20 KiB.
	maxRemoteBytes = 256 << 10
	// fetchTimeout bounds one fetch from the dial to the last byte.
	fetchTimeout = 5 * time.Second
)

// Fetch reads the document behind a URL that the caller has already found trustworthy. It returns
// the whole body of a 200 answer. It must not follow redirects, must bound the size of what it
// reads, and reports another answer of the server as a *FetchError.
type Fetch = func(ctx context.Context, url string) ([]byte, error)

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
func HTTPFetch(client *http.Client) Fetch {
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
func fetchContext(o Options) (context.Context, context.CancelFunc) {
	parent := o.Context
	if parent == nil {
		parent = context.Background()
	}
	return context.WithTimeout(parent, fetchTimeout)
}
