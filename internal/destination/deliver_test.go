package destination_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/secret"
)

// Two keys of 24 and 64 bytes, the shortest and the longest that there may be.
var (
	shortKey = []byte("0123456789abcdefghijklmn")
	longKey  = []byte(strings.Repeat("k", 64))
)

func whsec(key []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(key) }

var sample = event.Event{
	ID: strings.Repeat("ab", 32), Source: "zoom", Type: "meeting.started", SenderID: "evt_1",
	Subject: `Müller's "50 %" call`, Time: time.Date(2026, 1, 2, 3, 4, 5, 60_000_000, time.UTC),
	DataContentType: "application/json; charset=utf-8",
}

// seen is a request as a destination saw it.
type seen struct {
	header http.Header
	body   []byte
}

// answer is a destination that keeps what it sees and answers with the handler.
func answer(t *testing.T, h http.HandlerFunc) (*httptest.Server, <-chan seen) {
	t.Helper()
	requests := make(chan seen, 16)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Header.Set("Method", r.Method)
		r.Header.Set("Remote", r.RemoteAddr)
		requests <- seen{r.Header, body}
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv, requests
}

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// options is a destination as the tests describe it.
type options struct {
	Name, URL    string
	Secrets      []string
	Timeout      time.Duration
	Headers      map[string]string
	AllowPrivate []string
	Resolver     *net.Resolver
	Now          func() time.Time
}

// subject is a destination whose deliveries are written in one line.
type subject struct{ *destination.Destination }

// Deliver makes one attempt.
func (s *subject) Deliver(ctx context.Context, e event.Event, body []byte, attempt int) error {
	return s.Destination.Deliver(ctx, destination.Delivery{Event: e, Body: body, Attempt: attempt})
}

func made(o options) (*subject, error) {
	h := &destination.HTTP{URL: secret.New(o.URL), Timeout: o.Timeout, Headers: map[string]secret.Secret{}}
	for _, s := range o.Secrets {
		h.Secrets = append(h.Secrets, secret.New(s))
	}
	for name, v := range o.Headers {
		h.Headers[name] = secret.New(v)
	}
	spec := &destination.Spec{Name: o.Name, HTTP: h, AllowPrivate: o.AllowPrivate}
	d, err := destination.New(spec, destination.Deps{Resolver: o.Resolver, Now: o.Now})
	return &subject{d}, err
}

// open makes a destination that may reach loopback.
func open(t *testing.T, o options) *subject {
	t.Helper()
	if o.Name == "" {
		o.Name = "crm"
	}
	o.AllowPrivate = append(o.AllowPrivate, "127.0.0.1")
	d, err := made(o)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

func TestDeliverSendsTheEventAsCloudEventsBinaryMode(t *testing.T) {
	srv, requests := answer(t, ok)
	d := open(t, options{URL: srv.URL, Headers: map[string]string{"X-Tenant": "a b", "user-agent": "mine"}})
	require.NoError(t, d.Deliver(t.Context(), sample, []byte(`{}`), 3))
	got := (<-requests).header
	for name, want := range map[string]string{
		"Method": "POST", "Ce-Specversion": "1.0", "Ce-Id": sample.ID, "Ce-Source": "zoom", "Ce-Type": "meeting.started",
		"Ce-Subject": "M%C3%BCller's%20%2250%20%25%22%20call", "Ce-Time": "2026-01-02T03:04:05.06Z", "Ce-Senderid": "evt_1",
		"Content-Type": "application/json; charset=utf-8", "Content-Length": "2", "Grapnel-Attempt": "3",
		"X-Tenant": "a b", "User-Agent": "mine", "Webhook-Id": sample.ID + ":crm",
	} {
		require.Equal(t, []string{want}, got.Values(name), name)
	}
	require.Empty(t, got.Values("Webhook-Signature"), "nothing is signed without a secret")
	require.Empty(t, got.Values("Accept-Encoding"), "a packed answer could be a big one")
}

func TestDeliverLeavesOutWhatTheEventDoesNotHave(t *testing.T) {
	srv, requests := answer(t, ok)
	d := open(t, options{URL: srv.URL})
	e := event.Event{ID: "x", Source: "form", DataContentType: "text/plain\x00"}
	require.NoError(t, d.Deliver(t.Context(), e, nil, 1))
	got := (<-requests).header
	for _, name := range []string{"Ce-Subject", "Ce-Time", "Ce-Senderid", "Content-Type"} {
		require.Empty(t, got.Values(name), name)
	}
	require.Equal(t, "unknown", got.Get("Ce-Type"), "CloudEvents wants a type")
	require.Equal(t, "grapnel", got.Get("User-Agent"))
}

func TestDeliverKeepsTheBodyByteForByte(t *testing.T) {
	srv, requests := answer(t, ok)
	d := open(t, options{URL: srv.URL, Secrets: []string{whsec(shortKey)}})
	rapid.Check(t, func(r *rapid.T) {
		body := rapid.SliceOf(rapid.Byte()).Draw(r, "body")
		require.NoError(r, d.Deliver(context.Background(), sample, body, 1))
		got := <-requests
		require.Equal(r, string(body), string(got.body))
		require.Equal(r, expected(got.header, body, shortKey), got.header.Get("Webhook-Signature"))
	})
}

// expected is the signature as the Standard Webhooks specification defines it,
// made here a second time.
func expected(h http.Header, body, key []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, h.Get("Webhook-Id")+"."+h.Get("Webhook-Timestamp")+"."+string(body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestDeliverSignsOnceForEachSecret(t *testing.T) {
	srv, requests := answer(t, ok)
	d := open(t, options{
		Name: "crm.eu", URL: srv.URL, Secrets: []string{whsec(shortKey), strings.TrimRight(whsec(longKey), "=")},
		Now: func() time.Time { return time.Unix(1767322800, 999) },
	})
	body := []byte(`{"a": 1}`)
	require.NoError(t, d.Deliver(t.Context(), sample, body, 1))
	require.NoError(t, d.Deliver(t.Context(), sample, body, 2))
	first, second := <-requests, <-requests
	require.Equal(t, "1767322800", first.header.Get("Webhook-Timestamp"))
	require.Equal(t, expected(first.header, body, shortKey)+" "+expected(first.header, body, longKey),
		first.header.Get("Webhook-Signature"))
	require.Equal(t, sample.ID+":crm%2Eeu", first.header.Get("Webhook-Id"), "a full stop would blur what is signed")
	require.Equal(t, first.header.Get("Webhook-Id"), second.header.Get("Webhook-Id"), "the id is the same over attempts")
}

// TestSignatureIsWhatOpenSSLMakesOfIt uses the secret and the body that the
// specification's own libraries test with; openssl dgst made the signature.
func TestSignatureIsWhatOpenSSLMakesOfIt(t *testing.T) {
	srv, requests := answer(t, ok)
	d := open(t, options{
		URL: srv.URL, Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		Now: func() time.Time { return time.Unix(1614265330, 0) },
	})
	e := sample
	e.ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	require.NoError(t, d.Deliver(t.Context(), e, []byte(`{"test": 2432232314}`), 1))
	require.Equal(t, "v1,laDl6pBPgNeK5VHvWWtXrL2Pe1wrKQmq34ebSbfqtCk=", (<-requests).header.Get("Webhook-Signature"))
}

func TestDeliverUsesAConnectionAgain(t *testing.T) {
	srv, requests := answer(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 32<<10))
	})
	d := open(t, options{URL: srv.URL})
	remotes := map[string]bool{}
	for range 3 {
		require.NoError(t, d.Deliver(t.Context(), sample, []byte("{}"), 1))
		remotes[(<-requests).header.Get("Remote")] = true
	}
	require.Len(t, remotes, 1)
}

func TestDeliverUsesTheUserInformationOfTheURL(t *testing.T) {
	srv, requests := answer(t, ok)
	d := open(t, options{URL: strings.Replace(srv.URL, "://", "://joe:geheim@", 1) + "/in?token=abc"})
	require.NoError(t, d.Deliver(t.Context(), sample, nil, 1))
	require.Equal(t, "Basic am9lOmdlaGVpbQ==", (<-requests).header.Get("Authorization"))
}

func TestDeliverIgnoresProxiesOfTheEnvironment(t *testing.T) {
	proxy, proxied := answer(t, ok)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	d := open(t, options{URL: "http://destination.invalid/", AllowPrivate: []string{"127.0.0.0/8"}})
	require.Error(t, d.Deliver(t.Context(), sample, nil, 1))
	require.Empty(t, proxied)
}
