package destination

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/netguard"
	"github.com/grapnel/grapnel/internal/secret"
	"github.com/grapnel/grapnel/internal/tracing"
)

// HTTP is an endpoint to which events are posted as Standard Webhooks.
type HTTP struct {
	// URL is the address that events are posted to. It is treated as a secret, because a path or
	// query often holds a token. A user name and password in it become Basic credentials.
	URL secret.Secret `yaml:"url"`
	// Secrets are the keys that sign each delivery: whsec_ and base64 of 24 to 64 bytes. Each key
	// adds a signature, so that the receiver can change from one to the next.
	Secrets []secret.Secret `yaml:"secrets"`
	// Timeout is how long one attempt may take.
	Timeout time.Duration `yaml:"timeout"`
	// Headers are added to each delivery.
	Headers map[string]secret.Secret `yaml:"headers"`
	// SuccessOn lists statuses that mean, besides 2xx, that the event was taken, written as 404,
	// 5xx or 200-204.
	SuccessOn []string `yaml:"success_on"`
	// FailureOn lists statuses that mean that the event was not taken and is to be tried again,
	// even where they would mean something else.
	FailureOn []string `yaml:"failure_on"`
	// Basic is the user name and password of HTTP's Basic scheme.
	Basic *Basic `yaml:"basic"`
	// Bearer is a token that is sent as Authorization: Bearer.
	Bearer secret.Secret `yaml:"bearer"`
	// OAuth2 says how the token for the Authorization header is fetched.
	OAuth2 *OAuth2 `yaml:"oauth2"`
	// TLS holds a client certificate and the trusted authorities.
	TLS *ClientTLS `yaml:"tls"`
	// Proxy is the proxy through which the destination and its token endpoint are reached:
	// http://, https:// or socks5://. The proxy looks host names up, so a private address is
	// refused only where the file itself names it. The address of the proxy is guarded like that
	// of a destination. Proxies of the environment are never used.
	Proxy secret.Secret `yaml:"proxy"`
}

// DefaultTimeout is how long one delivery may take unless the configuration says otherwise.
const DefaultTimeout = 5 * time.Second

// SetDefaults sets the values of keys that the file does not give.
func (h *HTTP) SetDefaults() { h.Timeout = DefaultTimeout }

func (h *HTTP) check(s *Spec, r Report) {
	checkAddress(s, r, "http.url", h.URL, "https://crm.example.com/hooks")
	h.checkProxy(s, r)
	h.checkAuth(s, r)
	if h.TLS != nil {
		h.TLS.check("http.tls", isTLS(h.URL), r)
	}
	r.Duration("http.timeout", h.Timeout, shortestDelay, 10*time.Minute)
	for i, secret := range h.Secrets {
		if _, err := decodeSecret(secret.Reveal()); err != nil {
			r.Fault(fmt.Sprintf("http.secrets[%d]", i),
				"must be whsec_ and base64 of 24 to 64 bytes; make one with: echo whsec_$(openssl rand -base64 32)")
		}
	}
	for key, list := range map[string][]string{"http.success_on": h.SuccessOn, "http.failure_on": h.FailureOn} {
		if _, err := parseStatuses(list); err != nil {
			r.Fault(key, err.Error())
		}
	}
	first := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(h.Headers[name].Reveal()) {
			r.Fault("http.headers."+name, "is no HTTP header; a name has letters, digits and dashes, a value is one line")
		}
		key := http.CanonicalHeaderKey(name)
		if other, twice := first[key]; twice {
			r.Fault("http.headers."+name, "is the same header as "+other+"; keep one of them")
		}
		first[key] = name
	}
}

// httpDestination is a checked HTTP, ready to take events.
type httpDestination struct {
	name    string
	url     string // with its secrets, for the request
	shown   string // without them, for people
	keys    [][]byte
	header  http.Header
	timeout time.Duration
	client  *http.Client
	tokens  *tokens // nil where it asks for none
	hide    *secret.Masker
	now     func() time.Time

	successOn, failureOn statuses
}

func (h *HTTP) open(s *Spec, d Deps) (Kind, error) {
	u, errURL := parseURL(h.URL.Reveal())
	keys, errKeys := decodeSecrets(h.Secrets)
	header, errHeader := checkHeaders(h.Headers)
	fixed, errFixed := h.fixedCredentials()
	success, errSuccess := parseStatuses(h.SuccessOn)
	failure, errFailure := parseStatuses(h.FailureOn)
	w, errWay := h.clientPath(s, d)
	if err := errors.Join(errURL, errKeys, errHeader, errFixed, errSuccess, errFailure, errWay); err != nil {
		return nil, err
	}
	client, err := newClient(w, h.TLS)
	if err != nil {
		return nil, err
	}
	if fixed != "" {
		header.Set(authorization, fixed)
	}
	e := &httpDestination{
		name: s.Name, url: u.String(), shown: shownURL(u), keys: keys, header: header, timeout: w.timeout,
		client: client, hide: h.masker(), now: d.Now, successOn: success, failureOn: failure,
	}
	if h.OAuth2 != nil {
		if client, err = newClient(w, h.OAuth2.TLS); err != nil {
			return nil, err
		}
		if e.tokens, err = newTokens(h.OAuth2, client, e); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// clientPath gives the dialer and the proxy by which the destination and its token endpoint are
// reached.
func (h *HTTP) clientPath(s *Spec, d Deps) (w clientPath, err error) {
	if w.timeout = h.Timeout; w.timeout <= 0 {
		w.timeout = DefaultTimeout
	}
	g, err := netguard.New(s.AllowPrivate)
	if h.Proxy.IsSet() {
		var errProxy error
		w.proxy, errProxy = parseProxy(h.Proxy.Reveal())
		err = errors.Join(err, errProxy)
	}
	if w.dial = d.Dial; w.dial == nil {
		w.dial = g.DialContext(netguard.DialOptions{Timeout: w.timeout, Resolver: d.Resolver})
	}
	return w, err
}

// Route implements Kind.
func (h *httpDestination) Route(r *event.Route) { r.Timeout = h.timeout }

// Target implements Kind.
func (h *httpDestination) Target() string { return h.shown }

// Close implements Kind: it ends the connections that are idle.
func (h *httpDestination) Close() {
	h.client.CloseIdleConnections()
	if h.tokens != nil {
		h.tokens.client.CloseIdleConnections()
	}
}

// Deliver implements Kind: it posts the event once.
func (h *httpDestination) Deliver(ctx context.Context, d Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	header := h.headers(d)
	tracing.Write(tracing.Context(ctx, d.Event), header.Set)
	_, body := d.outgoing()
	res, err := h.post(ctx, header, body)
	if err != nil {
		return h.failed(err)
	}
	defer func() { _ = res.Body.Close() }()
	return h.answered(res, cancel)
}

// headers gives the headers of one delivery.
func (h *httpDestination) headers(d Delivery) http.Header {
	header := h.header.Clone()
	e, body := d.outgoing()
	setAttributes(header, e)
	header.Set("Grapnel-Attempt", strconv.Itoa(d.Attempt))
	if at := e.Corrected; !at.IsZero() {
		header.Set("Grapnel-Corrected", at.UTC().Format(time.RFC3339))
	}
	// The other side may close a kept connection just as the request goes out. Go's client then
	// sends the request again over another connection, if it knows that a repeat does no harm.
	// This header, which is never sent, tells it so: the receiver drops repeats by their
	// webhook-id.
	header["Idempotency-Key"] = nil
	h.sign(header, webhookID(e.ID, h.name), body)
	maps.Copy(header, d.Shape.header())
	return header
}

// post sends a delivery, with a token where the destination asks for one. When the destination
// refuses the token, which may have been revoked, a new one is fetched and the delivery is sent
// once more.
func (h *httpDestination) post(ctx context.Context, header http.Header, body []byte) (*http.Response, error) {
	if h.tokens == nil {
		return h.send(ctx, header, body)
	}
	t, err := h.tokens.get(ctx)
	if err != nil {
		return nil, err
	}
	header.Set(authorization, t.header)
	res, err := h.send(ctx, header, body)
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		return res, err
	}
	other, err := h.tokens.replacement(ctx, t)
	if err == nil && other == t {
		return res, nil
	}
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	// The first request may still be being written: a destination may answer before it has read
	// all of it.
	header = header.Clone()
	header.Set(authorization, other.header)
	return h.send(ctx, header, body)
}

func (h *httpDestination) send(ctx context.Context, header http.Header, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, err //nolint:wrapcheck // The caller judges it.
	}
	req.Header = header
	return h.client.Do(req) //nolint:wrapcheck // The caller judges it; where it goes is configured, and guarded at the dial.
}

// parseURL reads the address of a destination. The parser's own message would
// quote the URL, and with it a password.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, errors.New("its url is not usable, write it as https://host/path")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// shownURL is a URL without user information and query, which may hold secrets.
func shownURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
