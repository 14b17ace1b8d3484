// Package destination takes events to HTTP endpoints: the body as its sender
// wrote it, signed by Standard Webhooks, with the event's attributes in the
// headers of CloudEvents' binary mode, and never to an address inside our own
// network unless the configuration says so.
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

	"github.com/grapnel/grapnel/internal/event"
)

// DefaultTimeout is how long one delivery may take where nothing else is said.
const DefaultTimeout = 5 * time.Second

// Options is what an HTTP destination is made of.
type Options struct {
	// Name is the name of the route; it is part of the webhook-id, by which the
	// receiver drops repeats, so it has to stay as it is.
	Name string
	// URL is where events are posted; its user information becomes Basic
	// credentials.
	URL string
	// Secrets are Standard Webhooks secrets ("whsec_" and base64 of 24 to 64
	// bytes), the newest first; each makes a signature. None: nothing is signed.
	Secrets []string
	// Timeout is how long one delivery may take; 0 is DefaultTimeout.
	Timeout time.Duration
	// Headers are sent with every delivery.
	Headers map[string]string
	// AllowPrivate lists what may be reached of the addresses that are refused
	// otherwise: prefixes ("10.1.0.0/16"), addresses, or host names. A name lets
	// the URL's own host be private or loopback, but never link-local.
	AllowPrivate []string
	// Resolver looks host names up; nil is the system's.
	Resolver *net.Resolver
	// Now is the clock that signatures are made by; nil is the system's.
	Now func() time.Time
}

// HTTP is a destination that events are posted to. It is safe for concurrent
// use.
type HTTP struct {
	name    string
	url     string // with its secrets, for the request
	shown   string // without them, for people
	keys    [][]byte
	header  http.Header
	timeout time.Duration
	client  *http.Client
	hide    *strings.Replacer
	now     func() time.Time
}

// New makes a destination, or says all that is wrong with its options. No
// message holds a secret.
func New(o Options) (*HTTP, error) {
	u, errURL := parseURL(o.URL)
	keys, errKeys := decodeSecrets(o.Secrets)
	header, errHeader := checkHeaders(o.Headers)
	g, errGuard := newGuard(o.AllowPrivate)
	if err := errors.Join(errURL, errKeys, errHeader, errGuard); err != nil {
		return nil, fmt.Errorf("destination %s: %w", o.Name, err)
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g.named = g.allowsName(u.Hostname())
	return &HTTP{
		name: o.Name, url: u.String(), shown: shown(u), keys: keys, header: header,
		timeout: o.Timeout, client: newClient(o, g), hide: hider(u, o), now: o.Now,
	}, nil
}

// Close ends the connections that are idle. Deliveries under way go on.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

// Deliver posts the event once; attempt counts from 1. A nil error is an answer
// of 2xx; every other outcome is an *Error that says when to try again.
func (h *HTTP) Deliver(ctx context.Context, e event.Event, body []byte, attempt int) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return &Error{Destination: h.name, URL: h.shown, Permanent: true, Err: withoutURL(err)}
	}
	req.Header = h.header.Clone()
	setAttributes(req.Header, e)
	req.Header.Set("Grapnel-Attempt", strconv.Itoa(attempt))
	h.sign(req.Header, webhookID(e.ID, h.name), body)

	res, err := h.client.Do(req)
	if err != nil {
		return h.failed(err)
	}
	defer func() { _ = res.Body.Close() }()
	return h.answered(res, cancel)
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
func hider(u *url.URL, o Options) *strings.Replacer {
	secrets := []string{u.RawQuery}
	if u.User != nil {
		password, _ := u.User.Password()
		secrets = append(secrets, basic(u.User), password, u.User.Username())
	}
	for _, values := range u.Query() {
		for _, v := range values {
			secrets = append(secrets, v, url.QueryEscape(v))
		}
	}
	for _, v := range o.Headers {
		secrets = append(secrets, v)
		if _, credentials, ok := strings.Cut(v, " "); ok {
			secrets = append(secrets, credentials)
		}
	}
	var pairs []string
	for _, s := range append(secrets, o.Secrets...) {
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
