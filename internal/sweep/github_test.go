package sweep_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/sweep"
)

// attempt is a delivery as GitHub's API documents it.
type attempt struct {
	ID         int64  `json:"id"`
	GUID       string `json:"guid"`
	At         string `json:"delivered_at"`
	Status     string `json:"status"`
	StatusCode int    `json:"status_code"`
	Event      string `json:"event"`
	Action     string `json:"action"`
}

// hub answers as GitHub's API does: pages by cursor, the latest first, redelivery
// with 202, and a rate limit when limits is above zero.
type hub struct {
	mu       sync.Mutex
	attempts []attempt
	asked    []string
	limits   int
	how      func(http.Header)
	url      string
}

func newHub(t *testing.T, attempts ...attempt) *hub {
	h := &hub{attempts: attempts}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	h.mu.Lock() // Its own answers name it.
	defer h.mu.Unlock()
	h.url = s.URL
	return h
}

// ServeHTTP implements http.Handler.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	const list = "/repos/o/r/hooks/7/deliveries"
	switch {
	case r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("X-GitHub-Api-Version") == "":
		w.WriteHeader(http.StatusUnauthorized)
	case h.limits > 0:
		h.limits--
		h.how(w.Header())
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodGet && r.URL.Path == list:
		from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		to := min(from+2, len(h.attempts))
		if to < len(h.attempts) {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?per_page=100&cursor=%d>; rel="next"`, h.url, list, to))
		}
		_ = json.NewEncoder(w).Encode(h.attempts[from:to])
	case r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, list+"/") && strings.HasSuffix(r.URL.Path, "/attempts"):
		h.asked = append(h.asked, strings.Split(r.URL.Path, "/")[7])
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("{}"))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func token(text string) func() (string, error) {
	return func() (string, error) { return text, nil }
}

func (h *hub) sender(t *testing.T) *sweep.GitHub {
	path, err := sweep.GitHubPath("o/r", "", "7")
	require.NoError(t, err)
	return &sweep.GitHub{Base: h.url, Path: path, Token: token("secret")}
}

func TestWhatNoDeliveryBroughtIsAskedForAgain(t *testing.T) {
	h := newHub(t,
		attempt{9, "b", "2026-11-26T08:00:00Z", "OK", 200, "push", ""},
		attempt{8, "c", "2026-11-26T07:00:00Z", "timed out", 0, "issues", "opened"},
		attempt{7, "a", "2026-11-26T06:00:00Z", "Invalid HTTP Response: 503", 503, "push", ""},
		attempt{6, "a", "2026-11-26T05:00:00Z", "Invalid HTTP Response: 500", 500, "push", ""},
		attempt{5, "b", "2026-11-26T04:00:00Z", "timed out", 0, "push", ""},
		attempt{4, "d", "2026-11-24T04:00:00Z", "timed out", 0, "push", ""},
	)
	since := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	dry, err := sweep.Run(t.Context(), h.sender(t), sweep.Options{Since: since, Dry: true})
	require.NoError(t, err)
	require.Empty(t, h.asked)
	require.Equal(t, 2, dry.Remaining)
	r, err := sweep.Run(t.Context(), h.sender(t), sweep.Options{Since: since})
	require.NoError(t, err)
	require.Equal(t, []string{"7", "8"}, h.asked, "the last attempt of each event without success, the oldest first")
	require.Equal(t, 2, r.Asked)
	require.Equal(t, "issues.opened", r.Failed[1].Type)
}

func TestARateLimitIsWaitedOut(t *testing.T) {
	for name, c := range map[string]struct {
		how  func(http.Header)
		want time.Duration
	}{
		"Retry-After": {func(h http.Header) { h.Set("Retry-After", "17") }, 17 * time.Second},
		"the reset of the hour": {func(h http.Header) {
			h.Set("X-RateLimit-Remaining", "0")
			h.Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(90*time.Second).Unix(), 10))
		}, 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, attempt{1, "a", "2026-11-26T06:00:00Z", "timed out", 0, "push", ""})
			h.limits, h.how = 2, c.how
			var waited []time.Duration
			o := sweep.Options{LongestWait: time.Hour, Wait: func(_ context.Context, d time.Duration) error {
				waited = append(waited, d)
				return nil
			}}
			r, err := sweep.Run(t.Context(), h.sender(t), o)
			require.NoError(t, err)
			require.Equal(t, 1, r.Asked)
			require.Len(t, waited, 2)
			require.InDelta(t, c.want.Seconds(), waited[0].Seconds(), 2)

			h.limits, o.LongestWait = 1, time.Second
			_, err = sweep.Run(t.Context(), h.sender(t), o)
			var limited *sweep.LimitedError
			require.ErrorAs(t, err, &limited, "one that is longer than may be waited for is told")
			require.InDelta(t, c.want.Seconds(), limited.For.Seconds(), 2)
		})
	}
}

func TestARefusalSaysWhatGitHubSaid(t *testing.T) {
	h := newHub(t)
	s := h.sender(t)
	s.Token = token("wrong")
	_, err := sweep.Run(t.Context(), s, sweep.Options{})
	require.ErrorContains(t, err, "401")
	require.NotContains(t, err.Error(), "wrong")
}

func TestTheTokenGoesNowhereElse(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", `<https://evil.example/x>; rel="next"`)
		_, _ = w.Write([]byte("[]"))
	}))
	t.Cleanup(s.Close)
	_, err := sweep.Run(t.Context(), &sweep.GitHub{Base: s.URL, Path: "/app/hook/deliveries", Token: token("x")}, sweep.Options{})
	require.ErrorContains(t, err, "another host")
}

func TestWhereTheDeliveriesOfAHookAre(t *testing.T) {
	for _, c := range []struct{ repo, org, hook, path, fault string }{
		{"o/r", "", "7", "/repos/o/r/hooks/7/deliveries", ""},
		{"", "acme", "7", "/orgs/acme/hooks/7/deliveries", ""},
		{"", "", "", "/app/hook/deliveries", ""},
		{"o/r", "", "", "", "not a number"},
		{"o", "", "7", "", "owner/name"},
		{"o/r", "acme", "7", "", "not both"},
		{"", "a/../b", "7", "", "not a valid name"},
	} {
		path, err := sweep.GitHubPath(c.repo, c.org, c.hook)
		require.Equal(t, c.path, path)
		if c.fault != "" {
			require.ErrorContains(t, err, c.fault)
		}
	}
}

func TestWhatAlwaysFailsIsAskedForEverMoreRarely(t *testing.T) {
	at := func(minutes int) string {
		return time.Date(2026, 11, 26, 0, minutes, 0, 0, time.UTC).Format(time.RFC3339)
	}
	h := newHub(t, attempt{2, "a", at(10), "timed out", 0, "push", ""}, attempt{1, "a", at(0), "timed out", 0, "push", ""})
	for minute, asked := range map[int]int{10: 0, 15: 0, 20: 1, 60: 1} {
		r, err := sweep.Run(t.Context(), h.sender(t), sweep.Options{Due: time.Date(2026, 11, 26, 0, minute, 0, 0, time.UTC)})
		require.NoError(t, err)
		require.Equal(t, asked, r.Asked, "ten minutes lay between its attempts, %d are over since the first", minute)
		require.Equal(t, 1, r.Asked+r.Remaining)
	}
}

func TestAnAppShowsATokenThatItSigns(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "app.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	require.NoError(t, os.WriteFile(file, text, 0o600))
	var shown string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		_, _ = w.Write([]byte("[]"))
	}))
	t.Cleanup(s.Close)
	env := map[string]string{"GITHUB_APP_ID": "4711", "GITHUB_APP_KEY_FILE": file}
	lookup := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	app := event.Sweep{Sender: "github", Of: map[string]string{sweep.GitHubApp: "true", sweep.GitHubAPI: s.URL}}
	sender, err := sweep.Open(app, lookup)
	require.NoError(t, err)
	_, err = sweep.Run(t.Context(), sender, sweep.Options{})
	require.NoError(t, err)
	signed, err := jose.ParseSignedCompact(shown, []jose.SignatureAlgorithm{jose.RS256})
	require.NoError(t, err)
	said, err := signed.Verify(&key.PublicKey)
	require.NoError(t, err)
	var claims struct {
		Iss      string
		Iat, Exp int64
	}
	require.NoError(t, json.Unmarshal(said, &claims))
	require.Equal(t, "4711", claims.Iss)
	require.Less(t, claims.Iat, time.Now().Unix())
	require.LessOrEqual(t, claims.Exp-claims.Iat, int64(600), "GitHub takes ten minutes at most")

	delete(env, "GITHUB_APP_ID")
	_, err = sweep.Open(app, lookup)
	require.ErrorContains(t, err, "GITHUB_APP_ID")
	_, err = sweep.Open(event.Sweep{Sender: "gitlab"}, lookup)
	require.ErrorContains(t, err, "known is github")
}
