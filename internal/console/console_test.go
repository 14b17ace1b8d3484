package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/console"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// hostile is a text of an attacker, who can put it into any field that senders write.
const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>{{.}}`

var (
	noon  = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	anID  = strings.Repeat("ab", 32)
	fixed = func() time.Time { return noon }
)

// world is what the pages of a test show. It records what they do.
type world struct {
	rows    []eventlog.Row
	full    *eventlog.Story
	asked   []eventlog.Filter
	started []console.Request
	paused  []string
	verbs   []string
}

func (w *world) List(_ context.Context, f eventlog.Filter) ([]eventlog.Row, bool, error) {
	w.asked = append(w.asked, f)
	return w.rows, false, nil
}

func (w *world) Show(_ context.Context, id string) (*eventlog.Story, error) {
	if w.full == nil || id != anID {
		return nil, eventlog.ErrUnknown
	}
	return w.full, nil
}

func (w *world) Preview(_ context.Context, r console.Request) (console.Preview, error) {
	n := max(len(r.IDs), len(w.rows))
	return console.Preview{Count: n, By: []eventlog.Group{{Key: hostile, Count: n, First: noon, Last: noon}}}, nil
}

func (w *world) Start(_ context.Context, r console.Request) (string, error) {
	w.started = append(w.started, r)
	return "op-1", nil
}

func (w *world) Operations(context.Context) ([]console.Operation, error) {
	return []console.Operation{{ID: "op-1", Action: "replay", State: "running", Actor: hostile, Reason: hostile, Started: noon, Total: 3, Done: 1}}, nil
}

func (w *world) Operation(context.Context, string) (console.Operation, error) {
	return console.Operation{ID: "op-1", Action: "replay", State: "running", Actor: hostile, Reason: hostile, Started: noon, Total: 3, Done: 1, Results: []console.Result{{Outcome: "failed again for the same reason", Key: "failed_same", Count: 1}}}, nil
}

func (w *world) Items(context.Context, string, string, int, int) ([]console.Item, int, error) {
	return []console.Item{{ID: anID, Outcome: "failed again for the same reason", Why: hostile, At: noon}}, 100, nil
}

func (w *world) Control(_ context.Context, id, verb, _ string) error {
	w.verbs = append(w.verbs, id+" "+verb)
	return nil
}

// options make every page show something, with hostile text in every part that others write.
func options(t *testing.T, w *world) console.Options {
	t.Helper()
	w.rows = []eventlog.Row{{
		ID: anID, Run: "r", State: eventlog.Dead, Source: "zoom", Type: hostile, Subject: hostile, Started: noon, Ended: noon,
		Reason: hostile, Route: "crm", Routes: []string{"crm"},
	}}
	w.full = &eventlog.Story{
		Row:    w.rows[0],
		Event:  event.Event{ID: anID, Source: "zoom", Type: hostile, SenderID: hostile, DataContentType: hostile, Received: noon},
		Body:   []byte(`{"topic":"</pre><script>alert(1)</script>"}`),
		Routes: []eventlog.RouteState{{Name: "crm", State: "waiting", Attempt: 2, Attempts: 5, Next: noon.Add(time.Minute), Failure: hostile}},
		Steps:  []eventlog.Step{{Time: noon, Kind: "failed", Route: "crm", Text: hostile, Stack: hostile}},
	}
	rejections := admin.NewRejections(admin.Bounds{})
	rejections.Add(admin.Rejection{
		Time: noon, Source: "zoom", Reason: "signature", Detail: hostile, Path: "/" + hostile, Body: []byte(hostile),
		Headers: []admin.Header{{Name: "X-Hostile", Value: hostile}},
	})
	m, err := telemetry.NewMetrics(telemetry.Labels{}, zap.NewNop())
	require.NoError(t, err)
	watch, err := alert.New(alert.Options{
		Facts:   func(context.Context) alert.Facts { return alert.Facts{Failed: 11, Panics: map[string]int{hostile: 1}} },
		Metrics: m, Log: zap.NewNop(), Now: fixed,
	}, alert.Settings{Limits: alert.Defaults()})
	require.NoError(t, err)
	watch.Look(t.Context())
	set := series.New(fixed)
	set.Add(series.Received+"zoom", 3)
	set.Add(series.Attempt+"done:"+hostile, 1)
	return console.Options{
		Series: set, Events: w, Alerts: watch, Operator: w, Rejections: rejections,
		Letters: func() eventlog.Census { return eventlog.Census{At: noon, Count: 1, Rows: w.rows} },
		Sources: func() []console.Source {
			return []console.Source{{Name: "zoom", Provider: "zoom", URL: "https://x.example/webhooks/zoom", Paused: noon, Why: hostile}}
		},
		Destinations: func() []console.Destination {
			return []console.Destination{{Name: "crm", Kind: "http", Target: hostile, State: "open", Why: hostile, Since: noon, Events: []string{hostile}}}
		},
		Configuration: func(context.Context) console.Configuration {
			return console.Configuration{Path: "grapnel.yaml", Fault: hostile, Warnings: []string{hostile}, Unreachable: []string{"destination " + hostile}}
		},
		Pause: func(_ context.Context, kind, name string, c event.PauseChange) error {
			w.paused = append(w.paused, kind+" "+name+" "+map[bool]string{true: "paused", false: "resumed"}[c.Paused]+" "+c.Pause.Reason)
			return nil
		},
		WebUI: "http://127.0.0.1:8233", Namespace: "default", Version: "grapnel v0.0.0", Log: zap.NewNop(), Now: fixed, Sessions: console.NewSessions("", "", fixed),
	}
}

func page(t *testing.T, o console.Options) *console.Console {
	t.Helper()
	c, err := console.New(o)
	require.NoError(t, err)
	return c
}

func get(t *testing.T, c http.Handler, path string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	for _, k := range cookies {
		r.AddCookie(k)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func post(t *testing.T, c http.Handler, path string, form url.Values, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	t.Helper()
	return postFrom(t, c, "192.0.2.1:1234", path, form, cookies)
}

func postFrom( //nolint:revive // argument-limit: they are a request.
	t *testing.T, c http.Handler, from, path string, form url.Values, cookies []*http.Cookie,
) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.RemoteAddr = from
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, k := range cookies {
		r.AddCookie(k)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

// paths are all pages.
func paths() []string {
	return []string{
		"/", "/?range=24h", "/events", "/events?state=dead&type=" + url.QueryEscape(hostile) + "&since=2h", "/events/" + anID, "/dead-letters",
		"/dead-letters?by=type&reason=" + url.QueryEscape(hostile), "/dead-letters/confirm?action=replay&ids=" + anID,
		"/dead-letters/confirm?action=discard&reason=" + url.QueryEscape(hostile), "/operations", "/operations/op-1", "/operations/op-1?became=failed_same", "/sources",
		"/destinations", "/configuration", "/alerts", "/runbooks/CircuitOpen",
	}
}

func TestNoPageShowsWhatASenderWroteAsMarkup(t *testing.T) {
	c := page(t, options(t, &world{}))
	script := regexp.MustCompile(`<script[^>]*>`)
	for _, path := range paths() {
		t.Run(path, func(t *testing.T) {
			w := get(t, c, path)
			require.Equal(t, http.StatusOK, w.Code, w.Body.String())
			text := w.Body.String()
			scripts := script.FindAllString(text, -1)
			require.Len(t, scripts, 1)
			require.Regexp(t, `^<script src="/static/refresh\.js\?v=[0-9a-f]{12}" defer>$`, scripts[0])
			require.NotContains(t, text, "<img")
			require.NotContains(t, text, " style=", "the policy forbids it")
			require.NotContains(t, text, " onerror=alert(1)>")
			require.NotRegexp(t, `(?:src|href|action)="?(?:https?:)?//(?:[^1]|1[^2])`, text, "nothing leads elsewhere but to the Web UI")
			policy := w.Header().Get("Content-Security-Policy")
			require.Contains(t, policy, "default-src 'none'")
			require.NotContains(t, policy, "unsafe")
		})
	}
}

func TestABodyIsOfferedAsAFileWithItsExactBytes(t *testing.T) {
	shown := &world{}
	w := get(t, page(t, options(t, shown)), "/events/"+anID+"/body")
	require.NotEmpty(t, shown.full.Body)
	require.Equal(t, shown.full.Body, w.Body.Bytes())
	require.Equal(t, "application/octet-stream", w.Header().Get("Content-Type"))
	require.Contains(t, w.Header().Get("Content-Disposition"), "attachment")
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
}

func TestAnEventTellsHowFarItIs(t *testing.T) {
	text := get(t, page(t, options(t, &world{})), "/events/"+anID).Body.String()
	require.Contains(t, text, "Attempt 2 of 5.")
	require.Contains(t, text, "The next one is in 1m")
	require.Contains(t, text, "http://127.0.0.1:8233/namespaces/default/workflows/"+anID+"/r/history")
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	c := page(t, options(t, &world{}))
	for path, status := range map[string]int{
		"/events/" + strings.Repeat("0", 64): 404, "/events/x": 404, "/events?state=nothing": 400, "/events?since=nonsense": 400,
		"/events?id=12": 400, "/dead-letters/confirm?action=burn": 400, "/runbooks/Nothing": 404, "/nothing": 404,
	} {
		require.Equal(t, status, get(t, c, path).Code, path)
	}
}

func TestASearchReachesTemporalAsItWasMeant(t *testing.T) {
	w := &world{}
	get(t, page(t, options(t, w)), "/events?source=zoom&state=dead&type=meeting.*&subject=Weekly&since=2h&until=2026-03-04T11:30")
	require.Equal(t, eventlog.Filter{
		Source: "zoom", State: eventlog.Dead, Type: "meeting.*", Subject: "Weekly", Limit: 100,
		Since: noon.Add(-2 * time.Hour), Until: noon.Add(-30 * time.Minute),
	}, w.asked[0])
	moved := get(t, page(t, options(t, w)), "/events?id="+strings.ToUpper(anID))
	require.Equal(t, "/events/"+anID, moved.Header().Get("Location"))
}

// csrfOf finds the CSRF value in a page's form.
func csrfOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	found := regexp.MustCompile(`name="csrf" value="([0-9a-f]+)"`).FindStringSubmatch(w.Body.String())
	require.NotNil(t, found, w.Body.String())
	return found[1]
}

func TestFormsActOnceTheyComeFromAPageOfOurs(t *testing.T) {
	w := &world{}
	c := page(t, options(t, w))
	csrf := csrfOf(t, get(t, c, "/dead-letters/confirm?action=replay&reason=Timeout"))
	form := url.Values{"action": {"replay"}, "reason": {"Timeout"}, "why": {"crm is back"}, "actor": {"ann"}}
	require.Equal(t, http.StatusForbidden, post(t, c, "/dead-letters", form).Code)
	require.Empty(t, w.started)
	form.Set("csrf", csrf)
	done := post(t, c, "/dead-letters", form)
	require.Equal(t, http.StatusSeeOther, done.Code, done.Body.String())
	require.Equal(t, "/operations/op-1", done.Header().Get("Location"))
	require.Equal(t, []console.Request{{
		Action: "replay", Actor: "ann", Reason: "crm is back", Filter: eventlog.Filter{Reason: "Timeout"},
	}}, w.started)
	form.Set("why", " ")
	require.Equal(t, http.StatusBadRequest, post(t, c, "/dead-letters", form).Code, "a reason is needed")

	require.Equal(t, http.StatusSeeOther, post(t, c, "/destinations/crm", url.Values{"csrf": {csrf}, "verb": {"pause"}, "why": {"down"}}).Code)
	require.Equal(t, http.StatusSeeOther, post(t, c, "/destinations/crm", url.Values{"csrf": {csrf}, "verb": {"resume"}}).Code)
	require.Equal(t, http.StatusSeeOther, post(t, c, "/sources/zoom", url.Values{"csrf": {csrf}, "verb": {"pause"}, "why": {"wrong"}}).Code)
	require.Equal(t, []string{"destination crm paused down", "destination crm resumed ", "source zoom paused wrong"}, w.paused)
	for _, path := range []string{"/destinations/zoom", "/sources/crm", "/sources/%3Cscript%3E"} {
		require.Equal(t, http.StatusNotFound, post(t, c, path, url.Values{"csrf": {csrf}, "verb": {"pause"}, "why": {"x"}}).Code, path)
	}
	require.Equal(t, http.StatusSeeOther, post(t, c, "/operations/op-1", url.Values{"csrf": {csrf}, "verb": {"cancel"}}).Code)
	require.Equal(t, http.StatusBadRequest, post(t, c, "/operations/op-1", url.Values{"csrf": {csrf}, "verb": {"burn"}}).Code)
	require.Equal(t, []string{"op-1 cancel"}, w.verbs)
}

// login logs in and returns the session's cookie.
func login(t *testing.T, c http.Handler, token string) *http.Cookie {
	t.Helper()
	w := post(t, c, "/login", url.Values{"token": {token}, "next": {"/events"}})
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Equal(t, "/events", w.Header().Get("Location"))
	cookies := w.Result().Cookies()
	require.Len(t, cookies, 1)
	require.True(t, cookies[0].HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, cookies[0].SameSite)
	return cookies[0]
}

func TestBehindATokenThePageAsksForIt(t *testing.T) {
	w := &world{}
	o := options(t, w)
	now := noon
	o.Sessions = console.NewSessions("secret", "looker", func() time.Time { return now })
	c := page(t, o)
	moved := get(t, c, "/dead-letters?reason=x")
	require.Equal(t, http.StatusSeeOther, moved.Code)
	require.Equal(t, "/login?next=%2Fdead-letters%3Freason%3Dx", moved.Header().Get("Location"))
	require.Equal(t, http.StatusOK, get(t, c, "/login").Code)
	for _, ours := range []string{"crm", "8233", "grapnel v"} {
		require.NotContains(t, get(t, c, "/login").Body.String(), ours, "a stranger learns nothing")
	}
	require.Equal(t, http.StatusOK, get(t, c, "/static/style.css").Code)
	require.Empty(t, post(t, c, "/login", url.Values{"token": {"guess"}}).Result().Cookies())
	for _, next := range []string{"//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"} {
		require.Equal(t, "/", post(t, c, "/login", url.Values{"token": {"secret"}, "next": {next}}).Header().Get("Location"), next)
	}

	ann := login(t, c, "secret")
	shown := get(t, c, "/dead-letters/confirm?action=replay", ann)
	require.Equal(t, http.StatusOK, shown.Code)
	form := url.Values{"csrf": {csrfOf(t, shown)}, "action": {"replay"}, "why": {"x"}}
	require.Equal(t, http.StatusSeeOther, post(t, c, "/dead-letters", form, ann).Code)
	require.Len(t, w.started, 1)

	bob := login(t, c, "looker")
	looked := get(t, c, "/destinations", bob)
	require.NotContains(t, looked.Body.String(), `value="pause"`, "who may only look is offered nothing to do")
	require.Equal(t, http.StatusForbidden, post(t, c, "/dead-letters", form, bob).Code, "the form of another session")
	form.Set("csrf", csrfOf(t, looked))
	require.Equal(t, http.StatusForbidden, post(t, c, "/dead-letters", form, bob).Code)
	require.Len(t, w.started, 1)

	forged := *bob
	forged.Value = strings.Replace(bob.Value, "read.", "operate.", 1)
	require.Equal(t, http.StatusSeeOther, get(t, c, "/", &forged).Code)
	now = now.Add(13 * time.Hour)
	require.Equal(t, http.StatusSeeOther, get(t, c, "/", ann).Code, "a session ends")
	other := options(t, w)
	other.Sessions = console.NewSessions("changed", "looker", fixed)
	require.Equal(t, http.StatusSeeOther, get(t, page(t, other), "/", ann).Code, "a changed token ends sessions")
}

func TestLoggingOutTakesTheSessionAway(t *testing.T) {
	o := options(t, &world{})
	o.Sessions = console.NewSessions("secret", "", fixed)
	c := page(t, o)
	ann := login(t, c, "secret")
	w := post(t, c, "/logout", url.Values{"csrf": {csrfOf(t, get(t, c, "/", ann))}}, ann)
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Negative(t, w.Result().Cookies()[0].MaxAge)
}

func TestWhoGuessesTokensHasToWait(t *testing.T) {
	o := options(t, &world{})
	now := noon
	o.Sessions = console.NewSessions("secret", "", func() time.Time { return now })
	c := page(t, o)
	for range 10 {
		require.Equal(t, http.StatusOK, post(t, c, "/login", url.Values{"token": {"guess"}}).Code)
	}
	refused := post(t, c, "/login", url.Values{"token": {"secret"}})
	require.Equal(t, http.StatusTooManyRequests, refused.Code, "the right one too, or it would tell itself")
	require.NotEmpty(t, refused.Header().Get("Retry-After"))
	require.Empty(t, refused.Result().Cookies())
	now = now.Add(time.Minute)
	login(t, c, "secret")
}

func TestAllIsWellOnlyWhereNothingWaits(t *testing.T) {
	quiet := options(t, &world{})
	quiet.Alerts, quiet.Sources = nil, nil
	quiet.Letters = func() eventlog.Census { return eventlog.Census{At: noon} }
	state := "works"
	quiet.Destinations = func() []console.Destination {
		return []console.Destination{{Name: "crm", State: state, Since: noon.Add(-time.Hour), Why: "paused by bob: moving"}}
	}
	well := func() string { return get(t, page(t, quiet), "/").Body.String() }
	require.Contains(t, well(), "All is well.")
	for next, text := range map[string]string{"paused": "crm has been paused for 1h.", "open": "crm keeps failing", "trying": "crm has failed for some time and is tried again"} {
		state = next
		require.Contains(t, well(), text)
		require.NotContains(t, well(), "All is well")
	}
	state = "works"
	quiet.Letters = func() eventlog.Census {
		return eventlog.Census{At: noon, Count: 2, Rows: []eventlog.Row{{Ended: noon.Add(-2 * time.Hour)}, {Ended: noon}}}
	}
	require.Contains(t, well(), "2 dead letters wait, the oldest for 2h.")
	require.NotContains(t, well(), "All is well")
	quiet.Letters = func() eventlog.Census { return eventlog.Census{At: noon, Fault: "no connection"} }
	require.NotContains(t, well(), "All is well")
	quiet.Letters = func() eventlog.Census { return eventlog.Census{At: noon} }
	waiting := 3
	quiet.OnDisk = func() int { return waiting }
	require.Contains(t, well(), "3 events wait on disk")
	waiting = 1
	require.Contains(t, well(), "1 event waits on disk")
	waiting = 0
	require.Contains(t, well(), "All is well.", "at once, whatever the minutes before were like")
	quiet.Sources = func() []console.Source { return []console.Source{{Name: "zoom", Paused: noon.Add(-time.Hour)}} }
	require.Contains(t, well(), "Source zoom has been paused for 1h.")
	require.NotContains(t, well(), "All is well")
}
