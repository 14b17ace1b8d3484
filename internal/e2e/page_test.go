package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/console/browsertest"
)

// The tokens of the page in these tests.
const (
	operateToken = "a-token-with-which-one-may-operate"
	readToken    = "a-token-with-which-one-may-only-look"
)

// failing is a grapnel whose destination refuses one type of event for good and all others
// until it is mended.
type failing struct {
	*program
	mended atomic.Bool
	// taken counts what the destination took.
	taken atomic.Int32
}

// newFailing makes one; more are lines of the destination's configuration.
func newFailing(t *testing.T, more ...string) *failing {
	t.Helper()
	if len(more) == 0 {
		more = []string{"breaker: {failure_ratio: 0}"}
	}
	o := &failing{}
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), "meeting.deleted"):
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, hostileAnswer)
		case !o.mended.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "the database is away")
		default:
			o.taken.Add(1)
		}
	}))
	t.Cleanup(crm.Close)
	file := yaml("destinations:", to("crm", crm.URL, "attempts: 2, schedule: [100ms]", more...),
		strings.Replace(to("search", crm.URL, "attempts: 2"), "zoom/*", "zom/*", 1))
	h := newHome(t, strings.Replace(file, "examples: [meetings]\n", "", 1),
		"GRAPNEL_ADMIN_TOKEN="+operateToken, "GRAPNEL_ADMIN_READ_TOKEN="+readToken)
	o.program = h.start(t, "up")
	return o
}

// hostileAnswer is what a destination may answer.
const hostileAnswer = `<html><script>document.title="owned"</script><img src=x onerror='document.title="owned"'>`

func (o *failing) logIn(t *testing.T, b *browsertest.Browser, token string) {
	t.Helper()
	b.Open(t, "/")
	require.Equal(t, "/login?next=%2F", b.Path(t))
	b.Type(t, "input[name=token]", token)
	b.Click(t, "main", "Log in")
	b.See(t, "the overview", "Flow", "What waits")
}

// The jobs of an operator, in a browser, on a real grapnel.
func TestAnOperatorFindsMendsAndReplaysOnThePage(t *testing.T) {
	t.Parallel()
	o := newFailing(t)
	s := o.system(t)
	s.secret = secret
	b := browsertest.New(t, o.admin)
	var ids []string
	for i := range 4 {
		typ := "meeting.started"
		if i == 3 {
			typ = "meeting.deleted"
		}
		id := s.send(t, zoomOf(fmt.Sprint("meeting ", i), typ)).EventID
		s.dead(t, id)
		ids = append(ids, id)
	}
	o.logIn(t, b, operateToken)
	b.See(t, "what waits", "4 dead letters wait", "crm")

	// A destination fails: which, since when, and why.
	b.Click(t, "header", "Destinations")
	b.See(t, "the failing destination", "crm works", "0 delivered in the last hour", "7 attempts failed", "4 dead letters", "answered 503 Service Unavailable")
	b.Open(t, "/events/"+ids[0])
	b.See(t, "the story of an event", "dead", "Attempt 2 of 2.", "answered 503 Service Unavailable", "the database is away", "became a dead letter")
	judge(t, b)
	b.Open(t, "/events/"+ids[3])
	b.See(t, "what a destination answered, as text", `<script>document.title="owned"</script>`)
	judge(t, b)

	// It is paused, and resumed once it is mended.
	b.Open(t, "/destinations")
	b.Type(t, "#crm input[name=why]", "its owner restores a backup")
	b.Click(t, "section[@id='crm']", "Pause")
	b.See(t, "that it is paused", "crm paused", "its owner restores a backup")
	judge(t, b)
	o.mended.Store(true)
	b.Click(t, "section[@id='crm']", "Resume")
	b.See(t, "that it works", "crm works")

	// One reason is replayed, after a look at what that would do.
	b.Click(t, "header", "Dead letters")
	b.Click(t, "main", "answered 503 Service Unavailable")
	b.See(t, "the letters of one reason", "4 open, 3 of them shown")
	b.Click(t, "main", "Replay these 3")
	b.See(t, "the dry run", "Replay 3 dead letters?", "answered 503 Service Unavailable")
	require.Zero(t, o.taken.Load())
	judge(t, b)
	b.Type(t, "input[name=why]", "the database is back")
	b.Click(t, "main", "Replay 3")
	b.See(t, "the end of the operation", "Replay of 3 dead letters done", "3 of 3 done", "3 handled", "the database is back")
	judge(t, b)
	require.EqualValues(t, 3, o.taken.Load())

	// What is left is nobody's any more.
	b.Open(t, "/dead-letters")
	b.See(t, "what is left", "1 open", "answered 410 Gone")
	b.Do(t, "choose it", browsertest.Check("input[name=ids]"))
	b.Click(t, "main", "Discard the chosen")
	b.See(t, "what that would do", "Discard 1 dead letter?")
	b.Type(t, "input[name=why]", "a test of the vendor")
	b.Click(t, "main", "Discard 1")
	b.See(t, "the end of the operation", "Discard of 1 dead letter done", "1 discarded")
	b.Open(t, "/")
	b.See(t, "that all is well", "All is well.")
	judge(t, b)
	b.Open(t, "/configuration")
	b.See(t, "what no source reaches", "destination search", "there is no source zom; did you mean zoom?")
	judge(t, b)

	// What all of this left in the metrics, those of Temporal's SDK among them.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.admin+"/metrics", http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+readToken)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	scrape, err := io.ReadAll(res.Body)
	require.NoError(t, errors.Join(err, res.Body.Close()))
	require.Contains(t, string(scrape), "grapnel_received_total")
	require.Less(t, len(scrape), 60<<10, "a scrape stays small where there is one source")
}

// Somebody who has never seen the page is told that the CRM gets no events: four clicks find
// the cause, the extent and the cure. By REST and by command it is as short.
func TestAnOutageIsUnderstoodAndEndedInFourClicks(t *testing.T) {
	t.Parallel()
	o := newFailing(t, "breaker: {failure_ratio: 0.5, min_calls: 6, window: 5m, open: 2s}")
	s := o.system(t)
	s.secret = secret
	const dead, waiting = 3, 2
	for i := range dead {
		s.dead(t, s.send(t, zoomOf(fmt.Sprint("meeting ", i), "meeting.started")).EventID)
	}
	for i := range waiting {
		s.send(t, zoomOf(fmt.Sprint("another meeting ", i), "meeting.started"))
	}
	rest := func(method, path, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), method, o.admin+"/api/v1"+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+operateToken)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, errors.Join(err, res.Body.Close()))
		require.Equal(t, 2, res.StatusCode/100, "%s", text)
		return string(text)
	}

	// By REST: the cause, the extent, and what the cure would do.
	until(t, "REST tells the cause", func() bool {
		text := rest(http.MethodGet, "/destinations", "")
		return strings.Contains(text, "answered 503 Service Unavailable") && regexp.MustCompile(`"circuit":"(open|half-open)"`).MatchString(text)
	})
	until(t, "REST tells the extent", func() bool {
		return strings.Contains(rest(http.MethodGet, "/dead-letters/groups?route=crm", ""), fmt.Sprintf(`"total":%d`, dead)) &&
			strings.Count(rest(http.MethodGet, "/events?state=running", ""), `"id":`) == waiting
	})
	require.Contains(t, rest(http.MethodPost, "/operations", `{"action":"replay","filter":{"route":"crm"},"dry_run":true}`), fmt.Sprintf(`"total":%d`, dead))

	// By command.
	out, code := o.home.run(t, "dlq", "list", "--route", "crm", "--group-by", "reason")
	require.Zero(t, code, out)
	require.Regexp(t, `(?m)^ *3 .*answered 503 Service Unavailable|answered 503 Service Unavailable.* 3\b`, out)
	out, code = o.home.run(t, "events", "list", "--state", "running", "--json")
	require.Zero(t, code, out)
	require.Equal(t, waiting, strings.Count(out, `"state":"running"`), out)
	out, code = o.home.run(t, "dlq", "replay", "--route", "crm", "--dry-run")
	require.Zero(t, code, out)
	require.Contains(t, out, "3")

	// On the page.
	b := browsertest.New(t, o.admin)
	o.logIn(t, b, operateToken)
	b.See(t, "that something is wrong, and where to look", "crm", "Look at crm")
	clicks := 0
	click := func(in, text string) {
		clicks++
		b.Click(t, in, text)
	}
	click("main", "Look at crm")
	b.See(t, "the cause", "answered 503 Service Unavailable", "the database is away", "3 dead letters", "2 events are under way")
	require.Equal(t, "/destinations#crm", b.Path(t))
	b.Shoot(t, "outage-1-cause")
	judge(t, b)
	click("section[@id='crm']", "answered 503 Service Unavailable")
	b.See(t, "the extent", "3 open", "answered 503 Service Unavailable", "zoom meeting.started")
	b.Shoot(t, "outage-2-extent")
	judge(t, b)
	o.mended.Store(true) // Its owner has been told.
	click("main", "Replay all 3")
	b.See(t, "what the cure would do", "Replay 3 dead letters?")
	b.Shoot(t, "outage-3-cure")
	b.Type(t, "input[name=why]", "the database of the CRM is back")
	click("main", "Replay 3")
	b.See(t, "the end", "Replay of 3 dead letters done", "3 handled")
	b.Shoot(t, "outage-4-end")
	require.Equal(t, 4, clicks)
	until(t, "what had waited is delivered too", func() bool { return o.taken.Load() == dead+waiting })

	// The operation's items lead on to each event.
	click("main", "handled")
	b.See(t, "the items", "Those of one outcome")
	require.Contains(t, rest(http.MethodGet, "/operations", ""), "the database of the CRM is back")
	out, code = o.home.run(t, "ops", "list")
	require.Zero(t, code, out)
	require.Contains(t, out, "the database of the CRM is back")
}

// judge fails on whatever the browser or the audit complains of.
func judge(t *testing.T, b *browsertest.Browser) {
	t.Helper()
	require.Empty(t, append(b.Audit(t), b.Faults()...), "%s", b.Path(t))
}

// Behind a token: who may only look can't act, and no other site can act for anybody.
func TestThePageLetsNobodyActWhoMayNot(t *testing.T) {
	t.Parallel()
	o := newFailing(t)
	b := browsertest.New(t, o.admin)
	o.logIn(t, b, readToken)
	cookies := b.Cookies(t)
	require.Len(t, cookies, 1)
	require.Equal(t, "grapnel_session: HttpOnly SameSite=Strict", cookies[0])
	b.Open(t, "/destinations")
	b.See(t, "the destination", "crm works")
	require.NotContains(t, b.Text(t), "Pause", "who may only look is offered nothing to do")
	require.Equal(t, http.StatusForbidden, b.Post(t, "/destinations/crm", "verb=pause&why=x"))
	require.Empty(t, b.Faults())

	o.logOut(t, b)
	o.logIn(t, b, operateToken)
	// From a page of ours, but without what only our forms carry.
	require.Equal(t, http.StatusForbidden, b.PostBare(t, "/destinations/crm", "verb=pause&why=x"))
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<title>evil</title><p>evil</p><iframe name=f src="%[1]s/"></iframe>
<form method=post target=f action="%[1]s/destinations/crm"><input name=verb value=pause><input name=why value=x><button>Win a prize</button></form>`, o.admin)
	}))
	t.Cleanup(evil.Close)
	b.Faults()
	b.Visit(t, strings.Replace(evil.URL, "127.0.0.1", "localhost", 1))
	b.Click(t, "body", "Win a prize")
	b.Complains(t, "frame-ancestors")
	b.Open(t, "/destinations")
	b.See(t, "that nothing was paused", "crm works")
	b.Open(t, "/operations")
	b.See(t, "that nothing was begun", "Nobody has replayed or discarded anything")
}

func (o *failing) logOut(t *testing.T, b *browsertest.Browser) {
	t.Helper()
	b.Click(t, "footer", "Log out")
	b.See(t, "the login", "Admin token")
	b.Open(t, "/")
	require.Equal(t, "/login?next=%2F", b.Path(t))
}
