package starter_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
)

// keyServer is a sender's server of keys on this machine.
type keyServer struct {
	key    *rsa.PrivateKey
	url    string
	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func serveKeys(t *testing.T) *keyServer {
	t.Helper()
	k := &keyServer{}
	var err error
	k.key, err = rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &k.key.PublicKey, KeyID: "1", Use: "sig"}}})
	require.NoError(t, err)
	k.does(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) })
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.asked.Add(1)
		(*k.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	k.url = s.URL
	return k
}

func (k *keyServer) does(h http.HandlerFunc) { k.answer.Store(&h) }

// bearer is the header of a request that the sender signs.
func (k *keyServer) bearer(t *testing.T) []string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.key, KeyID: "1"}}, nil)
	require.NoError(t, err)
	now := time.Now().Add(-time.Minute) // Not after the door's own clock, which stands still.
	text, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: "https://sender.example", Audience: jwt.Audience{"us"},
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Hour)),
	}).Serialize()
	require.NoError(t, err)
	return []string{"Authorization", "Bearer " + text}
}

func (k *keyServer) source(more string) string {
	return `sources:
  a:
    verify:
      algorithm: jwt
      jwt: {from: "header:Authorization", algorithms: [RS256], jwks: "` + k.url + `/keys", issuers: ["https://sender.example"], audience: us}
    dedupe: none
` + more
}

func TestKeysAreFetchedOnceAndKept(t *testing.T) {
	keys := serveKeys(t)
	w := openDoor(t, keys.source(""))
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", keys.bearer(t)...).status, "the configuration names the host, so it may be this machine")
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", keys.bearer(t)...).status)
	w.reload(t, keys.source("    max_body: 10KB\n"))
	require.Equal(t, http.StatusOK, w.post(t, "a", "{}", keys.bearer(t)...).status)
	require.EqualValues(t, 1, keys.asked.Load(), "a reload forgets no keys")
}

func TestKeysThatCanNotBeFetched(t *testing.T) {
	keys := serveKeys(t)
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"the server fails", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }},
		{"no key set", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			keys.does(test.answer)
			before := keys.asked.Load()
			w := openDoor(t, keys.source(""))
			r := w.post(t, "a", "{}", keys.bearer(t)...)
			require.Equal(t, http.StatusServiceUnavailable, r.status, "the sender is to try again")
			require.NotEmpty(t, r.header.Get("Retry-After"))
			require.Equal(t, before+1, keys.asked.Load())
		})
	}
}

func TestSecretsRotateByTime(t *testing.T) {
	w := openDoor(t, "sources:\n  a:\n    provider: generic-token\n    dedupe: none\n    secrets:\n"+
		"      - {value: the-new-token-1234, valid_from: 2030-01-01T00:00:00Z}\n"+
		"      - {value: a-token-for-tests, valid_until: 2030-01-02T00:00:00Z}\n")
	for _, test := range []struct {
		now    time.Time
		before int
		after  int
	}{
		{time.Date(2029, 12, 31, 23, 59, 59, 0, time.UTC), http.StatusOK, http.StatusUnauthorized},
		{time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), http.StatusOK, http.StatusOK},
		{time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC), http.StatusUnauthorized, http.StatusOK},
	} {
		t.Run(test.now.String(), func(t *testing.T) {
			w.now.nanos.Store(test.now.UnixNano())
			require.Equal(t, test.before, w.post(t, "a", "{}", token()...).status)
			require.Equal(t, test.after, w.post(t, "a", "{}", "X-Webhook-Token", "the-new-token-1234").status)
		})
	}
}

func TestRequestsInHandEndUnderTheOldTable(t *testing.T) {
	w := openDoor(t, "sources:\n"+source("a"))
	w.engine.entered, w.engine.leave = make(chan struct{}), make(chan struct{})
	first := make(chan reply, 1)
	go func() { first <- w.post(t, "a", "{}", token()...) }()
	<-w.engine.entered
	w.reload(t, "sources:\n"+source("b", "ack_status: 202"))
	require.Equal(t, http.StatusNotFound, w.post(t, "a", "{}", token()...).status)
	close(w.engine.leave)
	require.Equal(t, http.StatusOK, (<-first).status)
	go func() { <-w.engine.entered }()
	require.Equal(t, http.StatusAccepted, w.post(t, "b", "{}", token()...).status)
}

func TestReloadUnderLoadLosesNothing(t *testing.T) {
	w := openDoor(t, "sources:\n"+source("a", "rate_limit: {rate: 1000000}", "allow_ips: [127.0.0.1]"))
	done := make(chan map[int]int)
	const senders, each = 4, 25
	for range senders {
		go func() {
			statuses := map[int]int{}
			for range each {
				statuses[w.post(t, "a", "{}", token()...).status]++
			}
			done <- statuses
		}()
	}
	for left := senders; left > 0; {
		select {
		case statuses := <-done:
			require.Equal(t, map[int]int{http.StatusOK: each}, statuses)
			left--
		default:
			w.reload(t, "sources:\n"+source("a", "rate_limit_ip: {rate: 1000000}", "allow_ips: [127.0.0.0/8]"))
		}
	}
	require.EqualValues(t, senders*each, w.engine.started.Load())
}
