package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/admin/admintest"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

// documented makes requests and holds every answer of the REST API to the OpenAPI
// document: its status, its media type, and its body by the schema.
type documented struct {
	t   *testing.T
	doc map[string]any
	// seen are the answers that came, as "get /dead-letters 200".
	mu   sync.Mutex
	seen map[string]bool
}

func newDocumented(t *testing.T) *documented {
	t.Helper()
	text, err := os.ReadFile("../../docs/openapi.json")
	require.NoError(t, err)
	d := &documented{t: t, seen: map[string]bool{}}
	require.NoError(t, json.Unmarshal(text, &d.doc))
	return d
}

// client is the generated one, which shows a token.
func (d *documented) client(admin, token string) *admintest.ClientWithResponses {
	d.t.Helper()
	c, err := admintest.NewClientWithResponses(admin+"/api/v1", admintest.WithHTTPClient(&http.Client{Transport: &showing{d, token}}))
	require.NoError(d.t, err)
	return c
}

// showing is documented with a token.
type showing struct {
	*documented
	token string
}

// RoundTrip implements http.RoundTripper.
func (s *showing) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	s.check(r, res, body)
	return res, nil
}

// operation finds the path of the document that a request is for.
func (d *documented) operation(r *http.Request) (path string) {
	asked := strings.TrimPrefix(r.URL.Path, "/api/v1")
	for one := range d.doc["paths"].(map[string]any) {
		pattern := "^" + regexp.MustCompile(`\\{[^}]+\\}`).ReplaceAllString(regexp.QuoteMeta(one), "[^/]+") + "$"
		if regexp.MustCompile(pattern).MatchString(asked) && (path == "" || !strings.Contains(one, "{")) {
			path = one
		}
	}
	return path
}

func (d *documented) check(r *http.Request, res *http.Response, body []byte) {
	d.t.Helper()
	path, method := d.operation(r), strings.ToLower(r.Method)
	require.NotEmpty(d.t, path, "the document has nothing for %s %s", r.Method, r.URL.Path)
	at := []string{"paths", path, method, "responses", fmt.Sprint(res.StatusCode)}
	answer, ok := d.at(at...).(map[string]any)
	if !ok {
		at[4] = "default"
		answer, ok = d.at(at...).(map[string]any)
		require.GreaterOrEqual(d.t, res.StatusCode, 400, "%s %s answers what is not written down", r.Method, r.URL.Path)
	}
	require.True(d.t, ok, "%s %s answers %d, which is not written down", r.Method, r.URL.Path, res.StatusCode)
	d.mu.Lock()
	d.seen[fmt.Sprint(method, " ", path, " ", at[4])] = true
	d.mu.Unlock()
	content, _ := answer["content"].(map[string]any)
	if len(content) == 0 {
		require.Empty(d.t, body, "%s %s", r.Method, r.URL.Path)
		return
	}
	media := res.Header.Get("Content-Type")
	require.Contains(d.t, content, media, "%s %s: %s", r.Method, r.URL.Path, body)
	if !strings.HasSuffix(media, "json") {
		return
	}
	pointer := "doc.json#"
	for _, part := range append(at, "content", media, "schema") {
		pointer += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	compiler := jsonschema.NewCompiler()
	require.NoError(d.t, compiler.AddResource("doc.json", d.doc))
	schema, err := compiler.Compile(pointer)
	require.NoError(d.t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	require.NoError(d.t, err)
	require.NoError(d.t, schema.Validate(value), "%s %s: %s", r.Method, r.URL.Path, body)
}

// at is a part of the document.
func (d *documented) at(path ...string) any {
	var here any = d.doc
	for _, part := range path {
		m, _ := here.(map[string]any)
		here = m[part]
	}
	return here
}

// hospital is a destination that answers what an operator has to read: nothing good,
// until it is mended.
type hospital struct {
	url string
	mu  sync.Mutex
	// mended says which types of event are taken, got has the bodies and what header
	// Grapnel-Corrected they came with.
	mended map[string]bool
	got    map[string]string
}

func newHospital(t *testing.T) *hospital {
	h := &hospital{mended: map[string]bool{}, got: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var e struct{ Event string }
		_ = json.Unmarshal(body, &e)
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.mended[e.Event] {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "the database is down\n\x1b[31mred\n"+strings.Repeat("at line 1\n", 40)+"the end of the trace")
			return
		}
		h.got[string(body)] = r.Header.Get("Grapnel-Corrected")
	}))
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *hospital) mend(typ string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mended[typ] = true
}

func (h *hospital) received(body string) (corrected string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	corrected, ok = h.got[body]
	return corrected, ok
}

func TestOperatorsWorkByRESTAndByCommand(t *testing.T) {
	t.Parallel()
	ward := newHospital(t)
	h := newHome(t, yaml("destinations:",
		"  crm:\n    events: [\"zoom/meeting.*\"]\n    allow_private: [127.0.0.1]\n    http: {url: \""+ward.url+"\"}\n"+
			"    retry: {attempts: 3, initial: 100ms, max: 100ms}\n    breaker: {failure_ratio: 0}\n"),
		"GRAPNEL_ADMIN_TOKEN=operate-token-of-the-test", "GRAPNEL_ADMIN_READ_TOKEN=read-token-of-the-test")
	p := h.start(t, "up")
	s := p.system(t)
	s.secret = secret
	d := newDocumented(t)
	ids := map[string][]string{}
	for _, typ := range []string{"meeting.disk", "meeting.mail", "foo.bar"} {
		for i := range 3 {
			ids[typ] = append(ids[typ], s.send(t, zoomOf(fmt.Sprint(t.Name(), i), typ)).EventID)
		}
	}
	for _, some := range ids {
		for _, id := range some {
			s.dead(t, id)
		}
	}
	read, operate := d.client(p.admin, "read-token-of-the-test"), d.client(p.admin, "operate-token-of-the-test")
	until(t, "all are listed", func() bool {
		r, err := read.GroupDeadLettersWithResponse(t.Context(), nil)
		require.NoError(t, err)
		return r.JSON200 != nil && r.JSON200.Total == 9
	})
	t.Run("list, group, show", func(t *testing.T) { looked(t, read, ids) })
	t.Run("the command shows all of a letter", func(t *testing.T) { shown(t, h, p, ids) })
	t.Run("the queries of the documentation work", func(t *testing.T) { queried(t, s) })
	t.Run("roles and faults", func(t *testing.T) { refused(t, d, p, ids) })
	t.Run("operations", func(t *testing.T) { operated(t, operate, ward, ids) })
	t.Run("a corrected body is marked", func(t *testing.T) { corrected(t, h, operate, ward, ids) })
	t.Run("sources and destinations", func(t *testing.T) { switched(t, operate) })
	for _, answer := range []string{
		"get /dead-letters 200", "get /dead-letters/groups 200", "get /dead-letters/{id} 200", "get /dead-letters/{id}/body 200",
		"post /operations 202", "get /operations 200", "get /operations/{id} 200", "get /operations/{id}/items 200",
		"post /operations/{id}/pause 202", "post /operations/{id}/resume 202", "post /operations/{id}/cancel 202",
		"post /operations default", "get /dead-letters default", "get /dead-letters/{id} default", "post /operations/{id}/cancel default",
		"get /sources 200", "get /destinations 200", "post /destinations/{name}/pause 200",
	} {
		require.True(t, d.seen[answer], "no test has got %s", answer)
	}
}

// looked reads the list by pages, by filters and by groups, and one letter.
func looked(t *testing.T, c *admintest.ClientWithResponses, ids map[string][]string) {
	ctx, found := t.Context(), map[string]bool{}
	params := &admintest.ListDeadLettersParams{Limit: new(int64(2))}
	for pages := 1; ; pages++ {
		r, err := c.ListDeadLettersWithResponse(ctx, params)
		require.NoError(t, err)
		require.NotNil(t, r.JSON200, "%s", r.Body)
		for _, l := range *r.JSON200.DeadLetters {
			require.False(t, found[l.Id], "a letter is on one page")
			found[l.Id] = true
		}
		if r.JSON200.Next == nil {
			require.GreaterOrEqual(t, pages, 5)
			break
		}
		params.Cursor = r.JSON200.Next
	}
	require.Len(t, found, 9)
	for name, f := range map[string]admintest.ListDeadLettersParams{
		"type": {Type: new("meeting.mail")}, "type, with a star": {Type: new("*.mail")},
		"reason": {Reason: new("no handler for*")}, "error": {Error: new("DATABASE is down"), Type: new("meeting.disk")},
	} {
		r, err := c.ListDeadLettersWithResponse(ctx, &f)
		require.NoError(t, err)
		require.NotNil(t, r.JSON200, "%s: %s", name, r.Body)
		require.Len(t, *r.JSON200.DeadLetters, 3, name)
	}
	g, err := c.GroupDeadLettersWithResponse(ctx, &admintest.GroupDeadLettersParams{By: new(admintest.GroupDeadLettersParamsByRoute)})
	require.NoError(t, err)
	require.EqualValues(t, 6, (*g.JSON200.Groups)[0].Count, "%s", g.Body)
	require.Equal(t, "crm", (*g.JSON200.Groups)[0].Value)
	one, err := c.GetDeadLetterWithResponse(ctx, ids["meeting.disk"][0])
	require.NoError(t, err)
	require.NotNil(t, one.JSON200, "%s", one.Body)
	failure := (*one.JSON200.Letter.Failures)[0]
	require.Contains(t, *failure.Answer, "the end of the trace")
	require.Len(t, *failure.Tried, 3, "every attempt is told")
	body, err := c.GetDeadLetterBodyWithResponse(ctx, ids["meeting.disk"][0])
	require.NoError(t, err)
	require.Equal(t, one.JSON200.Body, body.Body)
	require.Equal(t, zoomOf("TestOperatorsWorkByRESTAndByCommand0", "meeting.disk"), string(body.Body))
}

// shown reads what `dlq show` writes.
func shown(t *testing.T, h *home, p *program, ids map[string][]string) {
	id := ids["meeting.disk"][0]
	out, code := h.run(t, "dlq", "show", id[:12])
	require.Zero(t, code, out)
	require.Contains(t, out, "failed: crm\n")
	for n := 1; n <= 3; n++ {
		require.Regexp(t, fmt.Sprintf(`attempt %d failed 20\d\d-\S+Z: \S`, n), out)
	}
	require.NotContains(t, out, "\x1b", "what it answered does nothing to a terminal")
	require.Contains(t, out, "the end of the trace", "all of the answer")
	require.Contains(t, out, "/namespaces/"+p.namespace+"/workflows/"+id+"/")
	require.Contains(t, p.out.String(), regexp.MustCompile(`Web UI +(http://[^/]+)/`).FindStringSubmatch(out)[1])
	body, code := h.run(t, "dlq", "show", id, "--body")
	require.Zero(t, code)
	require.Equal(t, zoomOf("TestOperatorsWorkByRESTAndByCommand0", "meeting.disk"), body)
	out, code = h.run(t, "dlq", "list", "--type", "meeting.disk", "--limit", "1")
	require.Zero(t, code)
	require.Contains(t, out, "1 dead letter.")
	require.Contains(t, out, "There are more")
	out, code = h.run(t, "__complete", "dlq", "replay", "--dead-reason", "")
	require.Zero(t, code)
	require.Contains(t, out, "no handler for zoom/foo.bar\n", "reasons complete")
	out, _ = h.run(t, "__complete", "dlq", "replay", "--route", "")
	require.Contains(t, out, "crm\n")
	out, _ = h.run(t, "__complete", "dlq", "list", "--source", "")
	require.Contains(t, out, "zoom\n")
}

// queried runs each command by which docs/dead-letters.md has Temporal's own tool list
// dead letters.
func queried(t *testing.T, s *system) {
	text, err := os.ReadFile("../../docs/dead-letters.md")
	require.NoError(t, err)
	binary, err := enginetest.Binary()
	require.NoError(t, err)
	commands := regexp.MustCompile(`(?m)^temporal workflow list .*$`).FindAllString(string(text), -1)
	require.Len(t, commands, 3)
	for _, command := range commands {
		if _, err := exec.LookPath("jq"); err != nil && strings.Contains(command, "| jq") {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "TEMPORAL_ADDRESS="+s.Address)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", command, out)
		switch {
		case strings.Contains(command, "| jq"):
			require.Equal(t, 9, strings.Count(string(out), " zoom: "), "%s", out)
			require.Contains(t, string(out), "zoom: no handler for zoom/foo.bar")
			require.Contains(t, string(out), "zoom: answered 500 Internal Server Error")
		case strings.Contains(command, "foo.bar"):
			require.Equal(t, 3, strings.Count(string(out), "DeadLetter"), "%s", out)
		default:
			require.Equal(t, 6, strings.Count(string(out), "DeadLetter"), "%s", out)
		}
	}
}

// refused asks for what is not given.
func refused(t *testing.T, d *documented, p *program, ids map[string][]string) {
	ctx := t.Context()
	nobody, read, operate := d.client(p.admin, ""), d.client(p.admin, "read-token-of-the-test"), d.client(p.admin, "operate-token-of-the-test")
	replay := admintest.OperationRequest{Action: admintest.OperationRequestActionReplay, Ids: new(ids["foo.bar"][:1]), DryRun: new(true)}
	for _, c := range []struct {
		who    *admintest.ClientWithResponses
		status int
	}{{nobody, 401}, {read, 403}, {operate, 202}} {
		r, err := c.who.BeginOperationWithResponse(ctx, nil, replay)
		require.NoError(t, err)
		require.Equal(t, c.status, r.StatusCode(), "%s", r.Body)
	}
	list, err := nobody.ListDeadLettersWithResponse(ctx, nil)
	require.NoError(t, err)
	require.Equal(t, 401, list.StatusCode())
	list, err = read.ListDeadLettersWithResponse(ctx, &admintest.ListDeadLettersParams{Cursor: new("Zm9yZ2Vk")})
	require.NoError(t, err)
	require.Equal(t, 422, list.StatusCode(), "a forged cursor: %s", list.Body)
	one, err := read.GetDeadLetterWithResponse(ctx, strings.Repeat("0", 64))
	require.NoError(t, err)
	require.Equal(t, 404, one.StatusCode())
	gone, err := operate.CancelOperationWithResponse(ctx, "operation-of-nobody", admintest.ControlRequestBody{})
	require.NoError(t, err)
	require.Equal(t, 404, gone.StatusCode(), "%s", gone.Body)
	for name, q := range map[string]admintest.OperationRequest{
		"neither IDs nor a filter": {Action: "replay", Reason: new("x")},
		"a filter without a why":   {Action: "replay", Filter: &admintest.Filter{Route: new("crm")}},
		"another action":           {Action: "renew", Ids: new(ids["foo.bar"])},
		"a body for two":           {Action: "replay", Ids: new(ids["foo.bar"][:2]), Body: new([]byte("{}"))},
		"a body that is too large": {Action: "replay", Ids: new(ids["foo.bar"][:1]), Body: new(bytes.Repeat([]byte("x"), 5<<19))},
		"a negative limit":         {Action: "replay", Filter: &admintest.Filter{Limit: new(int64(-1)), Route: new("crm")}, Reason: new("x")},
	} {
		r, err := operate.BeginOperationWithResponse(ctx, nil, q)
		require.NoError(t, err)
		require.Contains(t, []int{413, 422}, r.StatusCode(), "%s: %s", name, r.Body)
		require.NotEmpty(t, *r.ApplicationproblemJSONDefault.Detail)
	}
}

func begun(t *testing.T, c *admintest.ClientWithResponses, key string, q admintest.OperationRequest) string {
	t.Helper()
	r, err := c.BeginOperationWithResponse(t.Context(), &admintest.BeginOperationParams{IdempotencyKey: &key}, q)
	require.NoError(t, err)
	require.NotNil(t, r.JSON202, "%s", r.Body)
	return *r.JSON202.Id
}

func over(t *testing.T, c *admintest.ClientWithResponses, id string) (st admintest.Status) {
	t.Helper()
	until(t, "the operation is over", func() bool {
		r, err := c.GetOperationWithResponse(context.Background(), id)
		require.NoError(t, err)
		require.NotNil(t, r.JSON200, "%s", r.Body)
		st = *r.JSON200
		return st.Ended != nil
	})
	return st
}

// operated replays and discards.
func operated(t *testing.T, c *admintest.ClientWithResponses, w *hospital, ids map[string][]string) {
	ctx := t.Context()
	disk := admintest.OperationRequest{
		Action: admintest.OperationRequestActionReplay, Filter: &admintest.Filter{Type: new("meeting.disk")},
		Reason: new("mended"), Actor: new("ann"), Rate: new(20.0),
	}
	dry := disk
	dry.DryRun = new(true)
	plan, err := c.BeginOperationWithResponse(ctx, nil, dry)
	require.NoError(t, err)
	require.EqualValues(t, 3, plan.JSON202.Plan.Total, "%s", plan.Body)
	require.Nil(t, plan.JSON202.Id)
	w.mend("meeting.disk")
	id := begun(t, c, "disk", disk)
	require.Equal(t, id, begun(t, c, "disk", disk), "asked twice, begun once")
	other := disk
	other.Reason = new("something else")
	used, err := c.BeginOperationWithResponse(ctx, &admintest.BeginOperationParams{IdempotencyKey: new("disk")}, other)
	require.NoError(t, err)
	require.Equal(t, 422, used.StatusCode(), "another wish under the same key: %s", used.Body)
	st := over(t, c, id)
	require.EqualValues(t, 3, st.Counts["handled"], "%v", st)
	require.Equal(t, "ann", *st.Actor)
	items, err := c.ListOperationItemsWithResponse(ctx, id, nil)
	require.NoError(t, err)
	require.EqualValues(t, 3, items.JSON200.Total)
	for _, item := range *items.JSON200.Items {
		require.Equal(t, "handled", item.Became)
		require.Contains(t, ids["meeting.disk"], item.Id)
	}
	all, err := c.ListOperationsWithResponse(ctx, nil)
	require.NoError(t, err)
	require.NotEmpty(t, *all.JSON200.Operations)

	// What is still down: paused, resumed and cancelled.
	id = begun(t, c, "mail", admintest.OperationRequest{
		Action: admintest.OperationRequestActionReplay, Filter: &admintest.Filter{Type: new("meeting.mail")}, Reason: new("too early"), Rate: new(0.2),
	})
	by := admintest.ControlRequestBody{Actor: new("bob"), Reason: new("wait")}
	until(t, "it has begun", func() bool {
		r, err := c.GetOperationWithResponse(ctx, id)
		require.NoError(t, err)
		return r.JSON200.Phase == "running" && r.JSON200.Begun > 0
	})
	paused, err := c.PauseOperationWithResponse(ctx, id, by)
	require.NoError(t, err)
	require.Equal(t, 202, paused.StatusCode(), "%s", paused.Body)
	until(t, "it is paused", func() bool {
		r, err := c.GetOperationWithResponse(ctx, id)
		require.NoError(t, err)
		return r.JSON200.Phase == "paused" && strings.Contains(*r.JSON200.Note, "bob (wait)")
	})
	resumed, err := c.ResumeOperationWithResponse(ctx, id, by)
	require.NoError(t, err)
	require.Equal(t, 202, resumed.StatusCode(), "%s", resumed.Body)
	cancelled, err := c.CancelOperationWithResponse(ctx, id, by)
	require.NoError(t, err)
	require.Equal(t, 202, cancelled.StatusCode(), "%s", cancelled.Body)
	st = over(t, c, id)
	require.EqualValues(t, 3, st.Counts["cancelled"]+st.Counts["failed_same"]+st.Counts["failed_other"], "%v", st)
	late, err := c.CancelOperationWithResponse(ctx, id, by)
	require.NoError(t, err)
	require.Equal(t, 409, late.StatusCode(), "%s", late.Body)

	id = begun(t, c, "", admintest.OperationRequest{
		Action: admintest.OperationRequestActionDiscard, Ids: new(ids["foo.bar"][1:]), Reason: new("not ours"),
	})
	require.EqualValues(t, 2, over(t, c, id).Counts["discarded"])
	left, err := c.GroupDeadLettersWithResponse(ctx, &admintest.GroupDeadLettersParams{Type: new("foo.bar")})
	require.NoError(t, err)
	require.EqualValues(t, 1, left.JSON200.Total, "what is discarded leaves at once")
}

// corrected hands over another body than the sender's.
func corrected(t *testing.T, h *home, c *admintest.ClientWithResponses, w *hospital, ids map[string][]string) {
	w.mend("meeting.better")
	id, body := ids["meeting.mail"][0], `{"event":"meeting.better"}`
	st := over(t, c, begun(t, c, "", admintest.OperationRequest{
		Action: admintest.OperationRequestActionReplay, Ids: new([]string{id}), Body: new([]byte(`{"event":"meeting.worse"}`)),
		Reason: new("a typo"), Actor: new("ann"),
	}))
	require.EqualValues(t, 1, st.Counts["failed_same"], "%v", st)
	one, err := c.GetDeadLetterBodyWithResponse(t.Context(), id)
	require.NoError(t, err)
	require.NotEmpty(t, *one.Headers200.GrapnelCorrected)
	require.JSONEq(t, `{"event":"meeting.worse"}`, string(one.Body))
	out, _ := h.run(t, "dlq", "show", id)
	require.Regexp(t, `CORRECTED \S+ by ann \(a typo\); nobody has signed it`, out)
	require.Regexp(t, `replayed \S+ by ann \(a typo\) after: `, out)
	st = over(t, c, begun(t, c, "", admintest.OperationRequest{
		Action: admintest.OperationRequestActionReplay, Ids: new([]string{id}), Body: new([]byte(body)),
	}))
	require.EqualValues(t, 1, st.Counts["handled"], "%v", st)
	at, ok := w.received(body)
	require.True(t, ok)
	require.NotEmpty(t, at, "its delivery says that it is corrected")
	at, ok = w.received(zoomOf("TestOperatorsWorkByRESTAndByCommand0", "meeting.disk"))
	require.True(t, ok)
	require.Empty(t, at, "that of the sender's own body does not")
}

// switched pauses a destination.
func switched(t *testing.T, c *admintest.ClientWithResponses) {
	sources, err := c.ListSourcesWithResponse(t.Context())
	require.NoError(t, err)
	require.Equal(t, "zoom", (*sources.JSON200.Items)[0].Name)
	_, err = c.PauseDestinationWithResponse(t.Context(), "crm", admintest.ChangeBody{Reason: new("repair"), Actor: new("ann")})
	require.NoError(t, err)
	all, err := c.ListDestinationsWithResponse(t.Context())
	require.NoError(t, err)
	require.Equal(t, "repair", *(*all.JSON200.Items)[0].Paused.Reason)
	_, err = c.ResumeDestinationWithResponse(t.Context(), "crm", admintest.ChangeBody{})
	require.NoError(t, err)
}
