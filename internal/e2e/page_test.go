package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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

func newFailing(t *testing.T) *failing {
	t.Helper()
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
	file := yaml("destinations:", to("crm", crm.URL, "attempts: 2, schedule: [100ms]", "breaker: {failure_ratio: 0}"))
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
