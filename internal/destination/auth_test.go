package destination_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/secret"
)

// asking is a destination on loopback whose description the test completes.
func asking(t *testing.T, url string, more func(*destination.HTTP)) *subject {
	t.Helper()
	h := &destination.HTTP{URL: secret.New(url)}
	more(h)
	d, err := destination.New(&destination.Spec{Name: "crm", HTTP: h, AllowPrivate: []string{"127.0.0.1"}}, destination.Deps{})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return &subject{d}
}

func TestCredentialsTravelAsTheirSchemeHasThem(t *testing.T) {
	srv, requests := answer(t, ok)
	for name, c := range map[string]struct {
		more func(*destination.HTTP)
		want string
	}{
		"basic": {
			func(h *destination.HTTP) {
				h.Basic = &destination.Basic{Username: "joe", Password: secret.New("pass: wörd")}
			}, "Basic " + base64.StdEncoding.EncodeToString([]byte("joe:pass: wörd")),
		},
		"bearer": {func(h *destination.HTTP) { h.Bearer = secret.New("abc.def") }, "Bearer abc.def"},
		"header": {func(h *destination.HTTP) {
			h.Headers = map[string]secret.Secret{"authorization": secret.New("Token x")}
		}, "Token x"},
	} {
		t.Run(name, func(t *testing.T) {
			d := asking(t, srv.URL, c.more)
			require.NoError(t, d.Deliver(t.Context(), sample, []byte("{}"), 1))
			require.Equal(t, []string{c.want}, (<-requests).header.Values("Authorization"))
			require.Equal(t, name, d.Spec.HTTP.Auth())
		})
	}
}

// identity is a token endpoint that counts and numbers what it gives.
type identity struct {
	fetches atomic.Int64
	life    int // seconds; 0 says nothing of them
	// refuse answers in the place of a token where it is set.
	refuse func(http.ResponseWriter, *http.Request)
}

func (i *identity) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := i.fetches.Add(1)
	if i.refuse != nil {
		i.refuse(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	life := ""
	if i.life > 0 {
		life = `,"expires_in":` + strconv.Itoa(i.life)
	}
	_, _ = fmt.Fprintf(w, `{"access_token":"token-number-%d","token_type":"bearer"%s}`, n, life)
}

const clientSecret = "geheim of the client"

func oauth(url string) *destination.OAuth2 {
	return &destination.OAuth2{TokenURL: secret.New(url), ClientID: "me", ClientSecret: secret.New(clientSecret)}
}

func TestOneTokenServesAllDeliveries(t *testing.T) {
	var form sync.Map
	i := &identity{life: 3600}
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form.Store("authorization", r.Header.Get("Authorization"))
		time.Sleep(50 * time.Millisecond) // so that all of them want it at once
		i.ServeHTTP(w, r)
	}))
	t.Cleanup(idp.Close)
	var good atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-number-1" {
			good.Add(1)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(srv.Close)
	d := asking(t, srv.URL, func(h *destination.HTTP) { h.OAuth2 = oauth(idp.URL) })
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _ = d.Deliver(t.Context(), sample, []byte("{}"), 1) })
	}
	all.Wait()
	require.EqualValues(t, 50, good.Load())
	require.EqualValues(t, 1, i.fetches.Load())
	basic, _ := form.Load("authorization")
	require.Equal(t, "Basic "+base64.StdEncoding.EncodeToString([]byte("me:geheim+of+the+client")), basic, "RFC 6749 has them form-encoded")
}

func TestTheTokenEndpointIsAskedAsConfigured(t *testing.T) {
	idp, asked := answer(t, (&identity{}).ServeHTTP)
	srv, _ := answer(t, ok)
	d := asking(t, srv.URL, func(h *destination.HTTP) {
		h.OAuth2 = oauth(idp.URL)
		h.OAuth2.Scopes, h.OAuth2.AuthStyle = []string{"a", "b"}, "params"
		h.OAuth2.Params = map[string]secret.Secret{"audience": secret.New("https://api.example.com")}
	})
	require.NoError(t, d.Deliver(t.Context(), sample, nil, 1))
	got := <-asked
	require.Equal(t, "audience=https%3A%2F%2Fapi.example.com&client_id=me&client_secret=geheim+of+the+client&grant_type=client_credentials&scope=a+b",
		string(got.body))
	require.Empty(t, got.header.Get("Authorization"))
}

// tokened is a destination and its token endpoint behind one fake clock.
func tokened(t *testing.T, i *identity, takes func(token string) int) *piped {
	t.Helper()
	spec := specOf(destination.Breaker{}, destination.Limit{})
	spec.HTTP.OAuth2 = oauth("http://idp.test/token")
	p := pipe(t, spec, destination.Deps{})
	p.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			i.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(takes(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer token-number-")))
	}
	return p
}

func TestATokenIsRenewedBeforeItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, used := &identity{life: 100}, ""
		p := tokened(t, i, func(token string) int { used = token; return http.StatusOK })
		deliver := func(want string, fetches int) {
			t.Helper()
			require.NoError(t, p.deliver(time.Time{}))
			require.Equal(t, want, used)
			synctest.Wait()
			require.EqualValues(t, fetches, i.fetches.Load())
		}
		deliver("1", 1)
		time.Sleep(70 * time.Second)
		deliver("1", 1)
		time.Sleep(15 * time.Second)
		deliver("1", 2) // The delivery does not wait for the new one.
		deliver("2", 2)
		time.Sleep(99 * time.Second)
		deliver("3", 3) // Too old to be used: waited for.

		// The token endpoint is away while the token is still good: nobody notices, and
		// it is not asked with every delivery.
		i.refuse = status(http.StatusServiceUnavailable)
		time.Sleep(82 * time.Second)
		for range 10 {
			deliver("3", 4)
		}
		time.Sleep(4 * time.Second)
		deliver("3", 4)
		time.Sleep(1001 * time.Millisecond)
		i.refuse = nil
		deliver("3", 5)
		deliver("5", 5)
	})
}

func TestATokenThatIsRefusedIsFetchedOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, revoked := &identity{}, "0"
		p := tokened(t, i, func(token string) int {
			if token <= revoked {
				return http.StatusUnauthorized
			}
			return http.StatusOK
		})
		require.NoError(t, p.deliver(time.Time{}))
		time.Sleep(time.Hour)
		require.NoError(t, p.deliver(time.Time{}), "one without an end is used until it is refused")
		require.EqualValues(t, 1, i.fetches.Load())
		revoked = "1"
		ended := make(chan error, 20)
		for range 20 {
			go func() { ended <- p.deliver(time.Time{}) }()
		}
		for range 20 {
			require.NoError(t, <-ended)
		}
		require.EqualValues(t, 2, i.fetches.Load(), "once for all of them")

		// A destination that takes no token is not a reason to fetch one with each delivery.
		revoked = "9"
		for range 5 {
			var e *destination.Error
			require.ErrorAs(t, p.deliver(time.Time{}), &e)
			require.Equal(t, http.StatusUnauthorized, e.Status)
			require.False(t, e.Permanent, "the event is not what is wrong")
		}
		require.EqualValues(t, 2, i.fetches.Load())
		time.Sleep(11 * time.Second)
		require.Error(t, p.deliver(time.Time{}))
		require.EqualValues(t, 3, i.fetches.Load())
	})
}

// A destination that refuses the token before it has read the request must not meet
// the next one in the same header.
func TestATokenMayBeRefusedBeforeTheRequestIsRead(t *testing.T) {
	i := &identity{}
	idp := httptest.NewServer(i)
	t.Cleanup(idp.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = c.Close()
		}
	}()
	now := atomic.Int64{}
	spec := &destination.Spec{Name: "crm", AllowPrivate: []string{"127.0.0.1"}, HTTP: &destination.HTTP{
		URL: secret.New("http://" + l.Addr().String()), OAuth2: oauth(idp.URL),
	}}
	d, err := destination.New(spec, destination.Deps{Now: func() time.Time { return time.Unix(now.Add(60), 0) }})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			var e *destination.Error
			if err := d.Deliver(t.Context(), destination.Delivery{Event: sample, Body: make([]byte, 1<<20), Attempt: 1}); err == nil || !errors.As(err, &e) || e.Permanent {
				t.Error("it is tried again", err)
			}
		})
	}
	all.Wait()
}

func TestATokenEndpointThatMisbehavesFailsTheAttemptAndSaysWhy(t *testing.T) {
	followed, seen := answer(t, ok)
	for name, c := range map[string]struct {
		answer         func(http.ResponseWriter, *http.Request)
		reason, says   string
		rest           time.Duration
		canceled, slow bool
	}{
		"it refuses the client and echoes it": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = fmt.Fprintf(w, `{"error":"invalid_client","error_description":"not %s %s"}`, clientSecret, r.Header.Get("Authorization"))
			},
			reason: "no token: answered 401 Unauthorized", says: "invalid_client not *** Basic ***; check client_id",
		},
		"it refuses the scope": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, "<html>\r\n\x00bad\xff</html>")
			},
			reason: "no token: answered 400 Bad Request", says: "scopes and auth_style",
		},
		"it is busy": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusServiceUnavailable)
			},
			reason: "no token: answered 503 Service Unavailable", rest: 7 * time.Second,
		},
		"it hangs": {
			answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			reason: "no token: no answer in time", rest: time.Minute, slow: true,
		},
		"it redirects": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, followed.URL, http.StatusTemporaryRedirect)
			},
			reason: "no token: answered 307 Temporary Redirect",
		},
		"it never ends": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			},
			says: "no token from",
		},
		"its token breaks the line": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"access_token":"a\r\nX-Evil: 1"}`)
			},
			says: "no token that a header can hold",
		},
		"its token is endless": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"access_token":"`+strings.Repeat("a", 100<<10)+`"}`)
			},
			says: "no token that a header can hold",
		},
		"it has none": {
			answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) },
			says:   "missing access_token",
		},
	} {
		t.Run(name, func(t *testing.T) {
			idp, _ := answer(t, c.answer)
			srv, delivered := answer(t, ok)
			d := asking(t, srv.URL, func(h *destination.HTTP) {
				h.OAuth2 = oauth(idp.URL + "/token?key=geheim-too")
				if c.slow {
					h.Timeout = 100 * time.Millisecond
				}
			})
			e := refusedBy(t, d)
			require.False(t, e.Permanent)
			require.Equal(t, c.rest, e.RetryAfter)
			require.Contains(t, e.Error(), "no token from "+idp.URL+"/token")
			require.Contains(t, e.Error(), c.says)
			require.NotContains(t, e.Error(), "geheim")
			require.NotContains(t, e.Error(), "\n")
			require.Less(t, len(e.Error()), 4<<10)
			if c.reason != "" {
				require.Equal(t, c.reason, e.Reason())
			}
			require.Empty(t, delivered, "nothing is sent without a token")
		})
	}
	require.Empty(t, seen, "the secret goes where the configuration says")
}

func TestATokenEndpointInsideTheNetworkIsRefused(t *testing.T) {
	idp, asked := answer(t, ok)
	spec := &destination.Spec{Name: "crm", AllowPrivate: []string{"10.9.9.9"}, HTTP: &destination.HTTP{
		URL: secret.New("http://10.9.9.9/"), OAuth2: oauth(idp.URL),
	}}
	d, err := destination.New(spec, destination.Deps{})
	require.NoError(t, err)
	e := refusedBy(t, &subject{d})
	require.True(t, e.Permanent)
	require.Contains(t, e.Error(), "is loopback and refused")
	require.Empty(t, asked)
}

func TestATokenIsInNoMessage(t *testing.T) {
	idp, _ := answer(t, (&identity{}).ServeHTTP)
	srv, _ := answer(t, func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get("Authorization")
		w.Header().Set("Location", "http://other.test/"+strings.TrimPrefix(token, "Bearer "))
		w.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(w, "you sent "+token+" "+base64.StdEncoding.EncodeToString([]byte(token)))
	})
	d := asking(t, srv.URL, func(h *destination.HTTP) { h.OAuth2 = oauth(idp.URL) })
	e := refusedBy(t, d)
	require.Contains(t, e.Answer, "you sent Bearer ***")
	for _, text := range []string{e.Error(), e.Answer} {
		require.NotContains(t, text, "token-number")
		require.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte("Bearer token-number-1"))[12:24])
	}
}

func TestAReloadWhileATokenIsFetchedDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, answered := &identity{}, make(chan struct{})
		p := tokened(t, i, func(string) int { return http.StatusOK })
		i.refuse = func(w http.ResponseWriter, _ *http.Request) {
			<-answered
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"token-number-7"}`)
		}
		ended := make(chan error, 1)
		go func() { ended <- p.deliver(time.Time{}) }()
		synctest.Wait()
		other := specOf(destination.Breaker{}, destination.Limit{})
		other.HTTP.OAuth2 = oauth("http://idp.test/token")
		other.HTTP.OAuth2.ClientSecret = secret.New("the next one")
		p.use(t, other)
		close(answered)
		require.NoError(t, <-ended)
		require.NoError(t, p.deliver(time.Time{}))
		require.EqualValues(t, 2, i.fetches.Load(), "the new secret has a token of its own")
	})
}
