package destination_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/destination"
)

// refusedBy delivers once and gives the error.
func refusedBy(t *testing.T, d *subject) *destination.Error {
	t.Helper()
	var e *destination.Error
	require.ErrorAs(t, d.Deliver(t.Context(), sample, []byte(`{}`), 1), &e)
	return e
}

func TestAnswersAreJudgedByTheirStatus(t *testing.T) {
	date := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cases := []struct {
		name, hint string
		status     int
		permanent  bool
		rest       time.Duration
		said       []string // the answer's own date
	}{
		{name: "400 is permanent", status: 400, permanent: true},
		{name: "401 is permanent", status: 401, permanent: true},
		{name: "404 is permanent", status: 404, permanent: true},
		{name: "410 is permanent", status: 410, permanent: true},
		{name: "499 is permanent", status: 499, permanent: true},
		{name: "408 waits a minute", status: 408, rest: time.Minute},
		{name: "425 waits a minute", status: 425, rest: time.Minute},
		{name: "429 waits a minute", status: 429, rest: time.Minute},
		{name: "429 waits a minute though asked for less", status: 429, hint: "5", rest: time.Minute},
		{name: "429 waits longer if asked for more", status: 429, hint: "90", rest: 90 * time.Second},
		{name: "429 waits until a date", status: 429, hint: "Fri, 02 Jan 2026 03:09:05 GMT", rest: 5 * time.Minute},
		{name: "429 waits until a date of the other side's clock", status: 429, hint: "Thu, 01 Jan 2026 00:05:00 GMT", rest: 5 * time.Minute, said: []string{"Thu, 01 Jan 2026 00:00:00 GMT"}},
		{name: "429 waits until a date of a clock that can't be read", status: 429, hint: "Fri, 02 Jan 2026 03:09:05 GMT", rest: 5 * time.Minute, said: []string{"noon"}},
		{name: "429 waits an hour at the most", status: 429, hint: "86400", rest: time.Hour},
		{name: "500 is tried again by the schedule", status: 500},
		{name: "503 waits as asked", status: 503, hint: "7", rest: 7 * time.Second},
		{name: "503 until a date far away waits an hour", status: 503, hint: "Fri, 02 Jan 2027 03:04:05 GMT", rest: time.Hour},
		{name: "503 until a date gone by waits not", status: 503, hint: "Fri, 02 Jan 2025 03:04:05 GMT"},
		{name: "503 with a hint that can't be read waits not", status: 503, hint: "soon"},
		{name: "503 with a negative hint waits not", status: 503, hint: "-5"},
		{name: "301 is tried again", status: 301},
		{name: "304 is tried again", status: 304},
		{name: "600 is tried again", status: 600},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			srv, _ := answer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = c.said // None instead of now.
				if c.hint != "" {
					w.Header().Set("Retry-After", c.hint)
				}
				w.WriteHeader(c.status)
			})
			e := refusedBy(t, open(t, options{URL: srv.URL, Now: func() time.Time { return date }}))
			require.Equal(t, c.status, e.Status)
			require.Equal(t, c.permanent, e.Permanent)
			require.Equal(t, c.rest, e.RetryAfter)
			require.False(t, e.Timeout)
			require.Contains(t, e.Error(), strconv.Itoa(c.status))
		})
	}
}

func TestEveryStatusOf2xxIsTaken(t *testing.T) {
	for _, status := range []int{200, 201, 202, 204, 299} {
		srv, _ := answer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		require.NoError(t, open(t, options{URL: srv.URL}).Deliver(t.Context(), sample, nil, 1))
	}
}

func TestARedirectIsNamedAndNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		target, followed := answer(t, ok)
		srv, _ := answer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace(target.URL, "://", "://joe:geheim@", 1)+"/new?token=geheim", status)
		})
		e := refusedBy(t, open(t, options{URL: srv.URL}))
		require.Contains(t, e.Error(), "a redirect to "+target.URL+"/new that is not followed")
		require.NotContains(t, e.Error(), "geheim")
		require.Empty(t, followed)
	}
}

func TestADestinationThatIsSilentTimesOut(t *testing.T) {
	srv, _ := answer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	e := refusedBy(t, open(t, options{URL: srv.URL, Timeout: 50 * time.Millisecond}))
	require.True(t, e.Timeout)
	require.False(t, e.Permanent)
	require.Equal(t, time.Minute, e.RetryAfter)
	require.Zero(t, e.Status)
	require.ErrorIs(t, e, context.DeadlineExceeded)
	require.Contains(t, e.Error(), "was not answered in time")
}

func TestAStatusDecidesThoughItsBodyNeverEnds(t *testing.T) {
	cases := map[string]int{"taken": http.StatusOK, "refused": http.StatusInternalServerError}
	for name, status := range cases {
		t.Run(name, func(t *testing.T) {
			srv, _ := answer(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write([]byte("first bytes"))
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			// The time-out is far longer than the test may take: what ends the
			// delivery is that no body is waited for.
			d := open(t, options{URL: srv.URL, Timeout: time.Hour})
			err := d.Deliver(t.Context(), sample, nil, 1)
			if status == http.StatusOK {
				require.NoError(t, err)
				return
			}
			var e *destination.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, status, e.Status)
			require.Equal(t, "first bytes", e.Answer)
		})
	}
}

func TestOfABigAnswerTheFirstBytesAreQuoted(t *testing.T) {
	srv, _ := answer(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte("a\r\n\x1b[31m\tb" + strings.Repeat("ü", 4000))); err != nil {
				return
			}
		}
	})
	e := refusedBy(t, open(t, options{URL: srv.URL}))
	require.LessOrEqual(t, len(e.Answer), 20<<10+3)
	require.Greater(t, len(e.Answer), 19<<10)
	require.True(t, strings.HasPrefix(e.Answer, "a\n\uFFFD[31m\tbüü"), e.Answer)
	require.Contains(t, e.Error(), "a \uFFFD[31m büü")
	require.Less(t, len(e.Error()), 4<<10)
	require.NotContains(t, e.Error(), "\n")
}

func TestNoSecretOfOursIsInAnyMessage(t *testing.T) {
	secret := whsec(shortKey)
	echo := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(r.URL.String() + " " + r.Header.Get("Authorization") + " " + r.Header.Get("X-Key") + " " + secret))
	}
	srv, _ := answer(t, echo)
	keyed, _ := answer(t, echo)
	withSecrets := func(base string) *subject {
		return open(t, options{
			URL:     strings.Replace(base, "://", "://joe:pass-geheim@", 1) + "/in?token=query-geheim%2B",
			Secrets: []string{secret}, Headers: map[string]string{"X-Key": "Token header-geheim"},
		})
	}
	userOnly := open(t, options{URL: strings.Replace(keyed.URL, "://", "://user-geheim@", 1) + "/in?bare-geheim", Secrets: []string{secret}})
	closed := "http://" + closedPort(t)
	for name, d := range map[string]*subject{
		"an echo": withSecrets(srv.URL), "an echo of a user name": userOnly, "no answer": withSecrets(closed),
	} {
		t.Run(name, func(t *testing.T) {
			e := refusedBy(t, d)
			require.NotContains(t, e.Error(), "geheim")
			require.NotContains(t, e.Error(), secret)
			require.NotContains(t, e.Error(), "am9lOnBhc3MtZ2VoZWlt", "the Basic credential")
			require.NotContains(t, e.Error(), "dXNlci1nZWhlaW06", "the Basic credential")
			require.Contains(t, e.Error(), "/in")
		})
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func TestARefusedConnectionIsTriedAgain(t *testing.T) {
	e := refusedBy(t, open(t, options{URL: "http://" + closedPort(t)}))
	require.False(t, e.Permanent)
	require.Zero(t, e.RetryAfter)
	require.Contains(t, e.Error(), "connection refused")
}

func TestADeliveryThatIsCalledOffSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv, _ := answer(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	err := open(t, options{URL: srv.URL}).Deliver(ctx, sample, nil, 1)
	var e *destination.Error
	require.ErrorAs(t, err, &e)
	require.False(t, e.Permanent || e.Timeout)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAnAnswerThatIsNoHTTPIsTriedAgain(t *testing.T) {
	srv, _ := answer(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte("HTTP/1.1 " + strings.Repeat("\x1b", 5000) + "\r\n\r\n"))
			_ = conn.Close()
		}
	})
	e := refusedBy(t, open(t, options{URL: srv.URL}))
	require.False(t, e.Permanent)
	require.Zero(t, e.Status)
	require.Contains(t, e.Error(), "malformed")
	require.Less(t, len(e.Error()), 4000)
}

func TestACertificateThatIsNotTrustedIsTriedAgain(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(ok))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	e := refusedBy(t, open(t, options{URL: srv.URL}))
	require.False(t, e.Permanent)
	require.Contains(t, e.Error(), "certificate")
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"5", "", "99999999999999999999", "Fri, 02 Jan 2026 03:09:05 GMT", "-1", "1.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := destination.RetryAfter(s, time.Now())
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.LessOrEqual(t, d, time.Hour)
	})
}
