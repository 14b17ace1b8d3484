package console_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/console"
)

// The tokens of these tests, and a text that only authorised callers may see.
const (
	operateToken = "the-token-with-which-one-may-operate"
	readToken    = "the-token-with-which-one-may-look"
	inside       = "what only those inside may see"
)

// lever is a part of the REST API. It counts the calls that change something.
type lever struct{ pulled *int }

// Register implements admin.Endpoints.
func (l lever) Register(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "pull", Method: http.MethodPost, Path: "/lever"},
		func(context.Context, *struct{}) (*struct{}, error) {
			*l.pulled++
			return nil, nil //nolint:nilnil // The answer has no body.
		})
	huma.Register(api, huma.Operation{OperationID: "look", Method: http.MethodGet, Path: "/lever"},
		func(context.Context, *struct{}) (*struct{ Body string }, error) {
			return &struct{ Body string }{inside}, nil
		})
}

// fortress is the page as the admin listener serves it, behind its guard.
type fortress struct {
	*admin.Server

	world  *world
	pulled int
	logs   *observer.ObservedLogs
}

func newFortress(t *testing.T, token, read string) *fortress {
	t.Helper()
	f := &fortress{world: &world{}}
	core, logs := observer.New(zap.InfoLevel)
	f.logs = logs
	o := options(t, f.world)
	o.Sessions, o.Log = console.NewSessions(token, read, nil), zap.New(core)
	shown := page(t, o)
	s, err := admin.New(t.Context(), admin.Options{
		Listen: "127.0.0.1:0", Token: token, ReadToken: read, Page: shown, Endpoints: []admin.Endpoints{lever{&f.pulled}},
		Stats: func() any { return inside }, Log: zap.New(core),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, inside) }),
	})
	require.NoError(t, err)
	f.Server = s
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		require.NoError(t, s.Shutdown(context.WithoutCancel(t.Context())))
		require.NoError(t, <-done)
	})
	return f
}

// ask sends a request and follows no redirect.
func (f *fortress) ask(t *testing.T, method, path, form string, change func(*http.Request)) (reply, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.URL()+path, strings.NewReader(form))
	require.NoError(t, err)
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if change != nil {
		change(r)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return reply{res.StatusCode, res.Header, res.Cookies()}, string(text)
}

// reply is an answer without its body.
type reply struct {
	StatusCode int
	Header     http.Header
	cookies    []*http.Cookie
}

// logIn returns a session's cookie and the CSRF value of its forms.
func (f *fortress) logIn(t *testing.T, token string) (*http.Cookie, string) {
	t.Helper()
	res, _ := f.ask(t, http.MethodPost, "/login", "token="+token, nil)
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	require.Len(t, res.cookies, 1)
	cookie := res.cookies[0]
	_, text := f.ask(t, http.MethodGet, "/", "", func(r *http.Request) { r.AddCookie(cookie) })
	_, csrf, found := strings.Cut(text, `name="csrf" value="`)
	require.True(t, found)
	return cookie, csrf[:64]
}

// untouched fails the test if anything was changed.
func (f *fortress) untouched(t *testing.T) {
	t.Helper()
	require.Empty(t, f.world.started)
	require.Empty(t, f.world.paused)
	require.Empty(t, f.world.verbs)
	require.Zero(t, f.pulled)
}

// deeds are all forms that change something, each with its path.
func deeds() map[string]string {
	return map[string]string{
		"/dead-letters": "action=replay&reason=x&why=x", "/destinations/crm": "verb=pause&why=x", "/sources/zoom": "verb=pause&why=x",
		"/operations/op-1": "verb=cancel",
	}
}

func TestWithoutATokenAPageOfAnotherSiteGetsNothing(t *testing.T) {
	f := newFortress(t, "", "")
	for _, path := range append(paths(), "/metrics", "/api/v1/lever", "/login", "/static/style.css") {
		for _, host := range []string{"evil.example", "127.0.0.1.evil.example", "evil.example:80", "localhost.evil.example", "0", "[::ffff:1.2.3.4]"} {
			res, text := f.ask(t, http.MethodGet, path, "", func(r *http.Request) { r.Host = host })
			require.Equal(t, http.StatusForbidden, res.StatusCode, "%s as %s", path, host)
			require.NotContains(t, text, inside)
		}
	}
	_, csrf := f.form(t)
	for path, form := range deeds() {
		for name, header := range map[string][2]string{
			"another origin": {"Origin", "https://evil.example"}, "no origin": {"Origin", "null"},
			"another site": {"Sec-Fetch-Site", "cross-site"}, "a sibling": {"Sec-Fetch-Site", "same-site"},
		} {
			res, _ := f.ask(t, http.MethodPost, path, form+"&csrf="+csrf, func(r *http.Request) { r.Header.Set(header[0], header[1]) })
			require.Equal(t, http.StatusForbidden, res.StatusCode, "%s: %s", path, name)
		}
		// A client that is not a browser sends no Origin, and has no CSRF value.
		res, _ := f.ask(t, http.MethodPost, path, form, nil)
		require.Equal(t, http.StatusForbidden, res.StatusCode, path)
	}
	res, _ := f.ask(t, http.MethodGet, "/api/v1/lever", "", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	f.untouched(t)
}

// form returns the CSRF value of the forms if nobody has to log in.
func (f *fortress) form(t *testing.T) (string, string) {
	t.Helper()
	_, text := f.ask(t, http.MethodGet, "/destinations", "", nil)
	_, csrf, found := strings.Cut(text, `name="csrf" value="`)
	require.True(t, found)
	return text, csrf[:64]
}

func TestNobodyActsWhoMayNot(t *testing.T) {
	f := newFortress(t, operateToken, readToken)
	ann, annForm := f.logIn(t, operateToken)
	bob, bobForm := f.logIn(t, readToken)
	session := func(c *http.Cookie) func(*http.Request) { return func(r *http.Request) { r.AddCookie(c) } }
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	forged := *bob
	forged.Value = strings.Replace(bob.Value, "read.", "operate.", 1)
	for path, form := range deeds() {
		for name, c := range map[string]struct {
			csrf   string
			as     func(*http.Request)
			status int
		}{
			"a stranger":                              {annForm, nil, http.StatusSeeOther},
			"a stranger with a token of no form":      {annForm, bearer(operateToken), http.StatusSeeOther},
			"who may look, with his own form":         {bobForm, session(bob), http.StatusForbidden},
			"who may look, with the form of another":  {annForm, session(bob), http.StatusForbidden},
			"who may look and says that he may act":   {bobForm, session(&forged), http.StatusSeeOther},
			"who may act, without a form":             {"", session(ann), http.StatusForbidden},
			"who may act, with the form of another":   {bobForm, session(ann), http.StatusForbidden},
			"who may act, with a form that is cut":    {annForm[:63], session(ann), http.StatusForbidden},
			"who may act, with the form in the query": {"", session(ann), http.StatusForbidden},
		} {
			at := path
			if strings.Contains(name, "query") {
				at += "?csrf=" + annForm
			}
			res, _ := f.ask(t, http.MethodPost, at, form+"&csrf="+c.csrf, c.as)
			require.Equal(t, c.status, res.StatusCode, "%s: %s", path, name)
			if c.status == http.StatusSeeOther {
				require.True(t, strings.HasPrefix(res.Header.Get("Location"), "/login"), "%s: %s", path, name)
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch} {
			_, _ = f.ask(t, method, path+"?"+form+"&csrf="+annForm, "", session(ann))
		}
	}
	// The page's session must not open the REST API, because a browser sends the cookie by itself.
	for name, c := range map[string]struct {
		as     func(*http.Request)
		status int
	}{
		"a session": {session(ann), http.StatusUnauthorized}, "the read token": {bearer(readToken), http.StatusForbidden},
		"a stranger": {nil, http.StatusUnauthorized}, "part of the token": {bearer(operateToken[:20]), http.StatusUnauthorized},
	} {
		res, text := f.ask(t, http.MethodPost, "/api/v1/lever", "", c.as)
		require.Equal(t, c.status, res.StatusCode, name)
		require.Contains(t, res.Header.Get("Content-Type"), "application/problem+json")
		require.NotContains(t, text, operateToken[:20])
	}
	f.untouched(t)
}

// Paths and requests that two readers could read differently.
func TestNoTrickWithAPathOpensADoor(t *testing.T) {
	f := newFortress(t, operateToken, readToken)
	for _, line := range []string{
		"GET /static/../metrics HTTP/1.1", "GET /static/..%2fmetrics HTTP/1.1", "GET /static/%2e%2e/metrics HTTP/1.1",
		"GET /static/%2e%2e%2fstats HTTP/1.1", "GET /static%2f..%2fstats HTTP/1.1", "GET /static/..\\..\\stats HTTP/1.1",
		"GET /static/..;/stats HTTP/1.1", "GET //stats HTTP/1.1", "GET /./stats HTTP/1.1", "GET /login/../stats HTTP/1.1",
		"GET /login/%2e%2e/stats HTTP/1.1", "GET /healthz/../stats HTTP/1.1", "GET /healthz%2f..%2fstats HTTP/1.1", "GET /STATS HTTP/1.1",
		"GET /stats/ HTTP/1.1", "GET /stats?/static/ HTTP/1.1", "GET /stats;/static/ HTTP/1.1", "GET /stats%00/static/ HTTP/1.1",
		"GET http://localhost/stats HTTP/1.1", "GET http://localhost/static/../stats HTTP/1.1", "CONNECT /static/../stats HTTP/1.1",
		"CONNECT /stats HTTP/1.1", "HEAD /stats HTTP/1.1", "TRACE /stats HTTP/1.1", "OPTIONS /stats HTTP/1.1", "GET /api/v1/../v1/lever HTTP/1.1",
		"GET /static/../api/v1/lever HTTP/1.1", "POST /static/../api/v1/lever HTTP/1.1", "POST /login/../api/v1/lever HTTP/1.1",
		"GET /static/../events HTTP/1.1", "GET /static%2f../events/" + anID + " HTTP/1.1", "GET /static/..%2fevents HTTP/1.1",
		"GET /static/style.css/../../events HTTP/1.1", "GET /static/ HTTP/1.1", "GET /static/../../../../etc/passwd HTTP/1.1",
		"GET /static/%2e%2e/%2e%2e/session.go HTTP/1.1", "GET /static/%5c..%5c..%5cgo.mod HTTP/1.1",
	} {
		status, text := f.raw(t, line+"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		for _, secret := range []string{inside, "crm", anID + `"`, "root:", "package console", "grapnel v0"} {
			require.NotContains(t, text, secret, line)
		}
		require.NotEqual(t, http.StatusInternalServerError, status, line)
	}
	f.untouched(t)
}

// raw sends bytes as they are, and returns the status and the whole answer.
func (f *fortress) raw(t *testing.T, request string) (status int, answer string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	text, err := io.ReadAll(bufio.NewReader(conn))
	require.NoError(t, err)
	_, _ = fmt.Sscanf(string(text), "HTTP/1.1 %d", &status)
	return status, string(text)
}

func TestWhatIsHugeIsRefused(t *testing.T) {
	f := newFortress(t, operateToken, readToken)
	ann, csrf := f.logIn(t, operateToken)
	session := func(r *http.Request) { r.AddCookie(ann) }
	huge := strings.Repeat("x", 2<<20)
	for path, form := range deeds() {
		res, _ := f.ask(t, http.MethodPost, path, "csrf="+csrf+"&"+form+huge, session)
		require.Equal(t, http.StatusBadRequest, res.StatusCode, path)
	}
	res, _ := f.ask(t, http.MethodPost, "/login", "token="+huge, nil)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Empty(t, res.cookies)
	res, _ = f.ask(t, http.MethodPost, "/api/v1/lever", huge, func(r *http.Request) { r.Header.Set("Authorization", "Bearer wrong") })
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	status, _ := f.raw(t, "GET /events HTTP/1.1\r\nHost: localhost\r\nX-Long: "+strings.Repeat("x", 128<<10)+"\r\nConnection: close\r\n\r\n")
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status)
	f.untouched(t)
}

func TestEveryAnswerForbidsWhatIsNotOurs(t *testing.T) {
	f := newFortress(t, operateToken, readToken)
	ann, _ := f.logIn(t, operateToken)
	for _, path := range append(paths(), "/login", "/static/style.css", "/static/refresh.js", "/nothing", "/events/x", "/events?since="+url.QueryEscape(hostile),
		"/events?state="+url.QueryEscape(hostile), "/runbooks/"+url.PathEscape(hostile), "/login?next="+url.QueryEscape(`"><script>alert(1)</script>`),
		"/operations/op-1?from="+url.QueryEscape(hostile), "/dead-letters?by="+url.QueryEscape(hostile), "/dead-letters?from=-1", "/metrics", "/api/v1/openapi.json") {
		res, text := f.ask(t, http.MethodGet, path, "", func(r *http.Request) { r.AddCookie(ann) })
		policy := res.Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'", path)
		require.Contains(t, policy, "frame-ancestors 'none'", path)
		require.NotContains(t, policy, "unsafe", path)
		require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"), path)
		require.NotContains(t, text, "<script>", path)
		require.NotContains(t, text, "<img", path)
		if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			require.Equal(t, "no-store", res.Header.Get("Cache-Control"), path)
		}
	}
}

func TestASessionCanNotBeMadeUp(t *testing.T) {
	f := newFortress(t, operateToken, readToken)
	ann, _ := f.logIn(t, operateToken)
	require.Equal(t, "/", ann.Path)
	require.Empty(t, ann.Domain)
	require.True(t, ann.HttpOnly)
	require.False(t, ann.Secure, "there is no TLS")
	require.Equal(t, http.SameSiteStrictMode, ann.SameSite)
	behind, _ := f.ask(t, http.MethodPost, "/login", "token="+operateToken, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") })
	require.True(t, behind.cookies[0].Secure)
	as := func(value string) int {
		res, _ := f.ask(t, http.MethodGet, "/events", "", func(r *http.Request) { r.Header.Set("Cookie", "grapnel_session="+value) })
		return res.StatusCode
	}
	require.Equal(t, http.StatusOK, as(ann.Value))
	for i := range ann.Value {
		changed := []byte(ann.Value)
		changed[i] ^= 1
		require.Equal(t, http.StatusSeeOther, as(string(changed)), "byte %d of %s", i, ann.Value)
	}
	for _, value := range []string{"", ".", "...", "operate", "operate.99999999999..", "operate.99999999999.x." + strings.Repeat("0", 64), ann.Value + ".x"} {
		require.Equal(t, http.StatusSeeOther, as(value), value)
	}
}

func TestGuessesFromOneNetworkCountAsOnes(t *testing.T) {
	o := options(t, &world{})
	core, logs := observer.New(zap.InfoLevel)
	o.Sessions, o.Log = console.NewSessions(operateToken, "", fixed), zap.New(core)
	c := page(t, o)
	guess := func(from string) int {
		return postFrom(t, c, from, "/login", url.Values{"token": {"guess"}}, nil).Code
	}
	limited := 0
	for i := range 50 {
		if guess(fmt.Sprintf("[2001:db8::%x]:4000", i+1)) == http.StatusTooManyRequests {
			limited++
		}
	}
	require.Equal(t, 40, limited, "the addresses of one network are those of one")
	require.Equal(t, http.StatusOK, guess("[2001:db8:0:1::1]:4000"))
	require.Equal(t, http.StatusOK, guess("192.0.2.1:4000"))
	require.Len(t, logs.FilterMessage("a login to the page was refused").All(), 12)
	for _, line := range logs.All() {
		require.NotContains(t, fmt.Sprint(line.ContextMap()), "guess")
	}
}

func TestWhatIsDoneOnThePageLeavesAnAuditLine(t *testing.T) {
	f := newFortress(t, operateToken, readToken)
	ann, csrf := f.logIn(t, operateToken)
	session := func(r *http.Request) { r.AddCookie(ann) }
	for path, form := range deeds() {
		res, text := f.ask(t, http.MethodPost, path, form+"&csrf="+csrf, session)
		require.Equal(t, http.StatusSeeOther, res.StatusCode, text)
	}
	said := map[string]map[string]any{}
	for _, line := range f.logs.FilterMessage("audit").All() {
		said[fmt.Sprint(line.ContextMap()["path"])] = line.ContextMap()
	}
	require.Equal(t, "x", said["/dead-letters"]["reason"])
	require.Equal(t, "op-1", said["/dead-letters"]["operation"])
	require.NotEmpty(t, said["/dead-letters"]["actor"])
	require.Equal(t, "crm", said["/destinations/crm"]["destination"])
	require.Equal(t, "zoom", said["/sources/zoom"]["source"])
	require.Equal(t, "cancel", said["/operations/op-1"]["verb"])
	require.NotContains(t, fmt.Sprint(said), csrf)
	require.NotContains(t, fmt.Sprint(said), operateToken)
}
