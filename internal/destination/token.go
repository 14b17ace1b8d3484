package destination

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/netguard"
	"github.com/grapnel/grapnel/internal/secret"
)

// tokens holds the OAuth2 token that all deliveries of a destination share. At most one fetch is
// under way; deliveries that need a token meanwhile wait for it.
type tokens struct {
	config  clientcredentials.Config
	client  *http.Client
	timeout time.Duration
	shown   string // the token endpoint, for people
	hide    *secret.Masker
	now     func() time.Time

	mu      sync.Mutex
	current *token
	fetch   *tokenFetch // nil while none is under way
	// noRenewal is the time before which a renewal that failed is not tried again, as long as the
	// token is good.
	noRenewal time.Time
}

// token is a token as it stands in the Authorization header.
type token struct {
	header  string
	fetched time.Time
	// due is the time to renew the token, stale the time from which it is not used any more; both
	// are zero when the token does not expire.
	due, stale time.Time
}

// tokenFetch is one request to the token endpoint. token and err are set once done is
// closed.
type tokenFetch struct {
	done  chan struct{}
	token *token
	err   error
}

const (
	// renewEarly is how long before its end a token is renewed; deliveries use the old one
	// meanwhile. A short-lived token is renewed when a fifth of its life is left.
	renewEarly = 2 * time.Minute
	// useNoMore is how long before its end a token is no longer sent. A short-lived token is not
	// sent when a tenth of its life is left.
	useNoMore = 10 * time.Second
	// renewPause is the delay before a renewal that failed is tried again.
	renewPause = 5 * time.Second
	// fresh is the age up to which a refused token is not replaced: a new one would be refused as
	// well.
	fresh = 10 * time.Second
	// maxToken is the length in bytes of the longest token that is sent.
	maxToken = 16 << 10
)

func newTokens(o *OAuth2, client *http.Client, h *httpDestination) (*tokens, error) {
	u, err := parseURL(o.TokenURL.Reveal())
	if err != nil {
		return nil, errors.New("its oauth2.token_url is not usable, write it as https://host/path")
	}
	return &tokens{
		config: clientcredentials.Config{
			ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), TokenURL: u.String(),
			Scopes: o.Scopes, EndpointParams: o.params(), AuthStyle: o.style(),
		},
		client: client, timeout: h.timeout, shown: shownURL(u), hide: h.hide, now: h.now,
	}, nil
}

// get gives the token. Where there is none that can be used, it fetches one first.
func (t *tokens) get(ctx context.Context) (*token, error) {
	t.mu.Lock()
	now := t.now()
	if c := t.current; c != nil && (c.stale.IsZero() || now.Before(c.stale)) {
		if !c.due.IsZero() && !now.Before(c.due) && !now.Before(t.noRenewal) {
			t.begin() //nolint:contextcheck // It is for the deliveries to come as well.
		}
		t.mu.Unlock()
		return c, nil
	}
	f := t.begin() //nolint:contextcheck // As above.
	t.mu.Unlock()
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return nil, &tokenError{url: t.shown, err: ctx.Err()}
	}
}

// replacement gives a token to replace one that the destination refused. A token that was fetched
// only just now is given again.
func (t *tokens) replacement(ctx context.Context, refused *token) (*token, error) {
	t.mu.Lock()
	if t.current == refused {
		if t.now().Sub(refused.fetched) < fresh {
			t.mu.Unlock()
			return refused, nil
		}
		t.current = nil
	}
	t.mu.Unlock()
	return t.get(ctx)
}

// begin fetches a token, unless a fetch is under way. The fetch goes on when the delivery that
// asked for it ends, because other deliveries wait for it too.
func (t *tokens) begin() *tokenFetch {
	if t.fetch != nil {
		return t.fetch
	}
	f := &tokenFetch{done: make(chan struct{})}
	t.fetch = f
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), t.timeout)
		defer cancel()
		f.token, f.err = t.ask(ctx)
		t.mu.Lock()
		if t.fetch = nil; f.err == nil {
			t.current = f.token
		} else {
			t.noRenewal = t.now().Add(renewPause)
		}
		t.mu.Unlock()
		close(f.done)
	}()
	return f
}

// ask asks the token endpoint once.
func (t *tokens) ask(ctx context.Context) (*token, error) {
	began := t.now()
	got, err := t.config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err != nil {
		return nil, t.failed(err)
	}
	header := got.Type() + " " + got.AccessToken
	if len(header) > maxToken || !httpguts.ValidHeaderFieldValue(header) {
		return nil, &tokenError{url: t.shown, err: errors.New("what it gave is no token that a header can hold")}
	}
	made := &token{header: header, fetched: began}
	if !got.Expiry.IsZero() {
		life := max(got.Expiry.Sub(began), 0)
		made.due = got.Expiry.Add(-min(life/5, renewEarly))
		made.stale = got.Expiry.Add(-min(life/10, useNoMore))
	}
	return made, nil
}

// tokenError says why there is no token. It holds no secret.
type tokenError struct {
	url    string
	status int // 0 without an answer
	said   string
	// retryAfter is the delay that the token endpoint asks for.
	retryAfter time.Duration
	err        error
}

func (t *tokens) failed(err error) error {
	e := &tokenError{url: t.shown, err: withoutURL(err)}
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return e
	}
	e.status, e.err = answer.Response.StatusCode, nil
	e.retryAfter = retryAfter(answer.Response.Header.Get("Retry-After"), t.now())
	e.said = strings.TrimSpace(answer.ErrorCode + " " + answer.ErrorDescription)
	if e.said == "" {
		e.said = event.Cut(string(answer.Body), 4*quoted)
	}
	e.said = event.Clean(strings.Join(strings.Fields(t.hide.Mask(e.said)), " "), quoted)
	return e
}

// Error says what the token endpoint answered, and what may help.
func (e *tokenError) Error() string {
	s := "no token from " + e.url
	if e.status == 0 {
		return s + ": " + e.err.Error()
	}
	s += fmt.Sprintf(", which answered %d %s", e.status, http.StatusText(e.status))
	if e.said != "" {
		s += ": " + e.said
	}
	if e.status == http.StatusBadRequest || e.status == http.StatusUnauthorized {
		s += "; check client_id, client_secret, scopes and auth_style under oauth2"
	}
	return s
}

// Reason names the kind of failure, by which dead letters are grouped: it is the same for every
// event that fails so.
func (e *tokenError) Reason() string {
	switch {
	case e.status != 0:
		return strings.TrimSpace(fmt.Sprintf("no token: answered %d %s", e.status, http.StatusText(e.status)))
	case timedOut(e.err):
		return "no token: no answer in time"
	}
	return "no token: " + event.Clean(rootCause(e.err), quoted)
}

// Unwrap gives the error that kept the token endpoint from answering.
func (e *tokenError) Unwrap() error { return e.err }

// tokenFailed makes the Error of a delivery for which there was no token. Nothing was sent. The
// delivery is tried again whatever the token endpoint said, because nothing is wrong with the
// event.
func (h *httpDestination) tokenFailed(err *tokenError) error {
	e := &Error{Destination: h.name, URL: h.shown, Err: err, RetryAfter: err.retryAfter}
	if _, refused := errors.AsType[*netguard.RefusedError](err); refused {
		e.Permanent = true
	}
	if timedOut(err) {
		e.RetryAfter = slowDown
	}
	e.Canceled = errors.Is(err, context.Canceled)
	return e
}
