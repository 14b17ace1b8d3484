package destination

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/netguard"
	"github.com/grapnel/grapnel/internal/secret"
)

// HTTP is an endpoint that takes Standard Webhooks, as the file describes it.
type HTTP struct {
	// URL is kept like a secret: a path or query often holds a token. Its user
	// information becomes Basic credentials.
	URL secret.Secret `yaml:"url"`
	// Secrets sign each delivery, whsec_ and base64 of 24 to 64 bytes; several
	// make several signatures, so that the receiver can change over.
	Secrets []secret.Secret `yaml:"secrets"`
	// Timeout is how long one attempt may take.
	Timeout time.Duration `yaml:"timeout"`
	// Headers are added to each delivery.
	Headers map[string]secret.Secret `yaml:"headers"`
	// SuccessOn lists statuses that mean the event was taken, beside 2xx: 404, 5xx or
	// 200-204.
	SuccessOn []string `yaml:"success_on"`
	// FailureOn lists statuses that mean the event was not taken and should be tried
	// again, whatever else they would mean.
	FailureOn []string `yaml:"failure_on"`
}

// DefaultTimeout is how long one delivery may take where nothing else is said.
const DefaultTimeout = 5 * time.Second

// SetDefaults fills in what holds when a key is not given.
func (h *HTTP) SetDefaults() { h.Timeout = DefaultTimeout }

func (h *HTTP) check(s *Spec, r Report) {
	h.checkURL(s, r)
	r.Duration("http.timeout", h.Timeout, shortest, 10*time.Minute)
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
	for name, v := range h.Headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v.Reveal()) {
			r.Fault("http.headers."+name, "is no HTTP header; a name has letters, digits and dashes, a value is one line")
		}
	}
}

func (h *HTTP) checkURL(s *Spec, r Report) {
	if !h.URL.IsSet() {
		r.Fault("http.url", "is missing; give the address to post events to")
		return
	}
	u, err := parseURL(h.URL.Reveal())
	if err != nil {
		r.Fault("http.url", "must be an address as https://crm.example.com/hooks")
		return
	}
	g, _ := netguard.New(s.AllowPrivate) // What it does not take is a fault of allow_private.
	if refused, ok := errors.AsType[*netguard.RefusedError](g.CheckLiteral(u.Hostname())); ok {
		r.Fault("http.url", fmt.Sprintf("leads to %s, which is %s and refused; list it under allow_private when that is meant",
			u.Hostname(), refused.Kind))
	}
}

// endpoint is an HTTP destination that is ready.
type endpoint struct {
	name    string
	url     string // with its secrets, for the request
	shown   string // without them, for people
	keys    [][]byte
	header  http.Header
	timeout time.Duration
	client  *http.Client
	hide    *strings.Replacer
	now     func() time.Time

	successOn, failureOn statuses
}

func (h *HTTP) open(s *Spec, d Deps) (Kind, error) {
	u, errURL := parseURL(h.URL.Reveal())
	keys, errKeys := decodeSecrets(h.Secrets)
	header, errHeader := checkHeaders(h.Headers)
	g, errGuard := netguard.New(s.AllowPrivate)
	success, errSuccess := parseStatuses(h.SuccessOn)
	failure, errFailure := parseStatuses(h.FailureOn)
	if err := errors.Join(errURL, errKeys, errHeader, errGuard, errSuccess, errFailure); err != nil {
		return nil, err
	}
	timeout := h.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	dial := g.DialContext(netguard.DialOptions{Timeout: timeout, Resolver: d.Resolver})
	if d.Dial != nil {
		dial = d.Dial
	}
	return &endpoint{
		name: s.Name, url: u.String(), shown: shown(u), keys: keys, header: header, timeout: timeout,
		client: newClient(dial, timeout), hide: hider(u, h), now: d.Now, successOn: success, failureOn: failure,
	}, nil
}

// Route implements Kind.
func (h *endpoint) Route(r *event.Route) { r.Timeout = h.timeout }

// Target implements Kind.
func (h *endpoint) Target() string { return h.shown }

// Close implements Kind: it ends the connections that are idle.
func (h *endpoint) Close() { h.client.CloseIdleConnections() }

// Deliver posts the event once. A nil error is an answer of 2xx.
func (h *endpoint) Deliver(ctx context.Context, d Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(d.Body))
	if err != nil {
		return &Error{Destination: h.name, URL: h.shown, Permanent: true, Err: withoutURL(err)}
	}
	req.Header = h.header.Clone()
	setAttributes(req.Header, d.Event)
	req.Header.Set("Grapnel-Attempt", strconv.Itoa(d.Attempt))
	if at := d.Event.Corrected; !at.IsZero() {
		req.Header.Set("Grapnel-Corrected", at.UTC().Format(time.RFC3339))
	}
	// A connection that the other side closes as the request goes out says nothing
	// of the event: the client then tries another one at once. It does so only where
	// a repeat does no harm, which this key, never sent, tells it: the receiver
	// knows repeats by the webhook-id.
	req.Header["Idempotency-Key"] = nil
	h.sign(req.Header, webhookID(d.Event.ID, h.name), d.Body)
	res, err := h.client.Do(req)
	if err != nil {
		return h.failed(err)
	}
	defer func() { _ = res.Body.Close() }()
	return h.answered(res, cancel)
}

// Idle connections: one destination is one host, so these are per host as well.
const (
	maxIdle     = 64
	idleTime    = 90 * time.Second
	maxHeader   = 64 << 10
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
)

// dialFunc connects, as http.Transport.DialContext does.
type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// newClient makes the client of one destination. Proxies of the environment are
// left out: one would resolve the name itself, past the guard.
func newClient(dial dialFunc, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dial,
			TLSHandshakeTimeout:    timeout,
			MaxIdleConns:           maxIdle,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleTime,
			MaxResponseHeaderBytes: maxHeader,
			// A small answer could unpack into a big one.
			DisableCompression: true,
			ForceAttemptHTTP2:  true,
			HTTP2:              &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
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

// shown is a URL as messages may name it: user information and query hold
// secrets.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// minHidden is the length from which a value is worth hiding in an answer:
// below it, ordinary text would be torn apart.
const minHidden = 6

// hider blots our own secrets out of what a destination answers: some echo the
// request.
func hider(u *url.URL, h *HTTP) *strings.Replacer {
	hidden := []string{u.RawQuery}
	if u.User != nil {
		password, _ := u.User.Password()
		hidden = append(hidden, basic(u.User), password, u.User.Username())
	}
	for _, values := range u.Query() {
		for _, v := range values {
			hidden = append(hidden, v, url.QueryEscape(v))
		}
	}
	for _, v := range h.Headers {
		hidden = append(hidden, v.Reveal())
		if _, credentials, ok := strings.Cut(v.Reveal(), " "); ok {
			hidden = append(hidden, credentials)
		}
	}
	for _, s := range h.Secrets {
		hidden = append(hidden, s.Reveal())
	}
	var pairs []string
	for _, s := range hidden {
		if len(s) >= minHidden {
			pairs = append(pairs, s, "***")
		}
	}
	return strings.NewReplacer(pairs...)
}

// basic is the credential that the HTTP client makes of user information.
func basic(u *url.Userinfo) string {
	r := http.Request{Header: http.Header{}}
	password, _ := u.Password()
	r.SetBasicAuth(u.Username(), password)
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ")
}
