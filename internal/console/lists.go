package console

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/eventlog"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// filterOf reads a filter from a query or a form.
func filterOf(q url.Values, now time.Time) (eventlog.Filter, error) {
	f := eventlog.Filter{
		Source: q.Get("source"), Type: q.Get("type"), Subject: q.Get("subject"), Route: q.Get("route"), Reason: q.Get("reason"),
		Error: q.Get("error"), State: eventlog.State(q.Get("state")),
	}
	if f.State != "" && !slices.Contains(eventlog.States(), f.State) {
		return f, fault{http.StatusBadRequest, "There is no such state; use running, handled, dead, discarded or broken."}
	}
	for name, to := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		text := strings.TrimSpace(q.Get(name))
		if text == "" {
			continue
		}
		at, err := eventlog.ParseTime(text, now)
		if err != nil {
			return f, fault{http.StatusBadRequest, name + ": " + err.Error()}
		}
		*to = at
	}
	return f, nil
}

// queryOf writes a filter as names and values in turn, for linkTo.
func queryOf(f eventlog.Filter) []string {
	pairs := []string{
		"source", f.Source, "type", f.Type, "subject", f.Subject, "route", f.Route, "reason", f.Reason, "error", f.Error,
	}
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			pairs = append(pairs, name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	return pairs
}

// listData is a list of events.
type listData struct {
	Filter  eventlog.Filter
	Query   map[string]string
	Rows    []eventlog.Row
	More    bool
	Sources []string
	States  []eventlog.State
	// Next is the link to older events.
	Next string
}

// pageSize is how many rows a page has.
const pageSize = 100

func (c *Console) events(r *http.Request) (any, error) {
	q := r.URL.Query()
	if id := strings.ToLower(strings.TrimSpace(q.Get("id"))); id != "" {
		if !eventlog.IsID(id) {
			return nil, fault{http.StatusBadRequest, "An event ID has 64 hexadecimal digits."}
		}
		return nil, redirect("/events/" + id)
	}
	f, err := filterOf(q, c.Now())
	if err != nil {
		return nil, err
	}
	f.Limit = pageSize
	d := listData{Filter: f, States: eventlog.States(), Query: firstValues(q)}
	for _, s := range c.sourceList() {
		d.Sources = append(d.Sources, s.Name)
	}
	ctx, cancel := context.WithTimeout(r.Context(), askWithin)
	defer cancel()
	if d.Rows, d.More, err = c.Events.List(ctx, f); err != nil {
		return nil, err
	}
	if d.More {
		// Events that began in the same microsecond as the last one are shown on both pages, so
		// that none is left out.
		older := f
		older.Until = d.Rows[len(d.Rows)-1].Started.Add(time.Microsecond)
		d.Next = linkTo("/events", append(queryOf(older), "state", string(f.State))...)
	}
	return d, nil
}

// askWithin is how long a page waits for Temporal.
const askWithin = 10 * time.Second

// redirect is returned by a page instead of data: the path to redirect to.
type redirect string

func (r redirect) Error() string { return "moved to " + string(r) }

func firstValues(q url.Values) map[string]string {
	out := map[string]string{}
	for k := range q {
		out[k] = q.Get(k)
	}
	return out
}

func (c *Console) sourceList() []Source {
	if c.Sources == nil {
		return nil
	}
	return c.Sources()
}

// eventData is one event.
type eventData struct {
	*eventlog.Story
	BodyView bodyView
	Newest   []eventlog.Step
}

func (c *Console) event(r *http.Request) (any, error) {
	f, err := c.find(r)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(f.Steps, func(a, b eventlog.Step) int { return a.Time.Compare(b.Time) })
	newest := slices.Clone(f.Steps)
	slices.Reverse(newest)
	return eventData{Story: f, BodyView: viewBody(f.Body), Newest: newest}, nil
}

func (c *Console) find(r *http.Request) (*eventlog.Story, error) {
	id := r.PathValue("id")
	if !eventlog.IsID(id) {
		return nil, fault{http.StatusNotFound, "An event ID has 64 hexadecimal digits."}
	}
	ctx, cancel := context.WithTimeout(r.Context(), askWithin)
	defer cancel()
	return c.Events.Show(ctx, id)
}

// body serves the exact bytes of an event's body. It serves them as a download, because a browser
// would show or run them by the media type that the sender chose.
func (c *Console) body(w http.ResponseWriter, r *http.Request) {
	f, err := c.find(r)
	if err != nil {
		c.show(w, r, "fault", func(*http.Request) (any, error) { return nil, err })
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+f.ID+`.body"`)
	_, _ = w.Write(f.Body) // The client left.
}

// lettersData is the dead letters, as groups and as a list.
type lettersData struct {
	Census  eventlog.Census
	By      string
	Groups  []groupLine
	Filter  eventlog.Filter
	Query   map[string]string
	Rows    []eventlog.Row
	Matched int
	// Newer and Next are the links to the page before and after.
	Newer, Next string
	// Filtered is set if the filter leaves letters out.
	Filtered bool
	Sources  []string
	// Kinds are the keys to group by, Tabs their links.
	Kinds   []string
	Tabs    map[string]string
	Replay  string
	Discard string
	CanAct  bool
}

type groupLine struct {
	eventlog.Group
	Href  string
	Share int
}

func (c *Console) letters(r *http.Request) (any, error) {
	q := r.URL.Query()
	f, err := filterOf(q, c.Now())
	if err != nil {
		return nil, err
	}
	if c.Letters == nil {
		return nil, fault{http.StatusNotFound, "This process does not count dead letters."}
	}
	d := lettersData{Census: c.Letters(), By: cmp.Or(q.Get("by"), eventlog.ByReason), Filter: f, Query: firstValues(q), CanAct: c.Operator != nil}
	var matched []eventlog.Row
	for _, row := range d.Census.Rows {
		if f.Match(row) {
			matched = append(matched, row)
		}
	}
	for _, g := range eventlog.Groups(d.Census.Rows, eventlog.BySource) {
		d.Sources = append(d.Sources, g.Key)
	}
	d.Matched, d.Filtered = len(matched), len(matched) != len(d.Census.Rows)
	for _, g := range eventlog.Groups(matched, d.By) {
		d.Groups = append(d.Groups, groupLine{Group: g, Share: 100 * g.Count / max(len(matched), 1), Href: c.narrow(f, d.By, g.Key)})
	}
	pairs := queryOf(f)
	from := 0
	if text := q.Get("from"); text != "" {
		if from, err = strconv.Atoi(text); err != nil || from < 0 {
			return nil, fault{http.StatusBadRequest, "from is not the number of a letter."}
		}
	}
	from = min(from, len(matched))
	d.Rows = matched[from:min(len(matched), from+pageSize)]
	if from > 0 {
		d.Newer = linkTo("/dead-letters", append(slices.Clone(pairs), "by", d.By, "from", strconv.Itoa(max(from-pageSize, 0)))...)
	}
	if next := from + pageSize; next < len(matched) {
		d.Next = linkTo("/dead-letters", append(slices.Clone(pairs), "by", d.By, "from", strconv.Itoa(next))...)
	}
	d.Kinds, d.Tabs = []string{eventlog.ByReason, eventlog.ByRoute, eventlog.BySource, eventlog.ByType, eventlog.ByDay}, map[string]string{}
	for _, by := range d.Kinds {
		d.Tabs[by] = linkTo("/dead-letters", append(slices.Clone(pairs), "by", by)...)
	}
	d.Replay = linkTo("/dead-letters/confirm", append(slices.Clone(pairs), "action", "replay")...)
	d.Discard = linkTo("/dead-letters/confirm", append(slices.Clone(pairs), "action", "discard")...)
	return d, nil
}

// narrow returns the link that adds a group to a filter; empty if no filter can select the group.
func (c *Console) narrow(f eventlog.Filter, by, key string) string {
	if key == "" {
		return ""
	}
	next := eventlog.ByRoute
	switch by {
	case eventlog.ByRoute:
		f.Route, next = key, eventlog.ByReason
	case eventlog.BySource:
		f.Source, next = key, eventlog.ByReason
	case eventlog.ByType:
		f.Source, f.Type, _ = strings.Cut(key, "/")
		next = eventlog.ByReason
	case eventlog.ByDay:
		at, err := time.Parse(time.DateOnly, key)
		if err == nil {
			f.Since, f.Until = at, at.Add(24*time.Hour)
		}
		next = eventlog.ByReason
	default:
		f.Reason = key
	}
	return linkTo("/dead-letters", append(queryOf(f), "by", next)...)
}

// confirmData is a request that the operator has yet to confirm.
type confirmData struct {
	Request Request
	Preview Preview
	Query   map[string]string
	Actor   string
	// All is set if neither an ID nor a filter narrows the request.
	All bool
}

// requestOf reads a request from a query or a form.
func (c *Console) requestOf(q url.Values) (Request, error) {
	f, err := filterOf(q, c.Now())
	if err != nil {
		return Request{}, err
	}
	r := Request{Action: q.Get("action"), Filter: f, IDs: q["ids"], Actor: strings.TrimSpace(q.Get("actor")), Reason: strings.TrimSpace(q.Get("why"))}
	for _, id := range r.IDs {
		if !eventlog.IsID(id) {
			return r, fault{http.StatusBadRequest, "An event ID has 64 hexadecimal digits."}
		}
	}
	if r.Action != "replay" && r.Action != "discard" {
		return r, fault{http.StatusBadRequest, "Dead letters are replayed or discarded."}
	}
	return r, nil
}

func (c *Console) confirm(r *http.Request) (any, error) {
	q := r.URL.Query()
	req, err := c.requestOf(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), askWithin)
	defer cancel()
	d := confirmData{Request: req, Query: firstValues(q), Actor: defaultActor(), All: len(req.IDs) == 0 && len(queryValues(req.Filter)) == 0}
	delete(d.Query, "action")
	delete(d.Query, "ids")
	d.Preview, err = c.Operator.Preview(ctx, req)
	return d, err
}

func queryValues(f eventlog.Filter) []string {
	return slices.DeleteFunc(queryOf(f), func(s string) bool {
		return s == "" || slices.Contains([]string{"source", "type", "subject", "route", "reason", "error", "since", "until"}, s)
	})
}

// defaultActor is the actor of an operation whose form names nobody: the user that runs this
// process, because sessions have no user names.
func defaultActor() string {
	name := "page"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// begin starts an operation.
func (c *Console) begin(r *http.Request) (string, error) {
	req, err := c.requestOf(r.PostForm)
	if err != nil {
		return "", err
	}
	req.Actor = cmp.Or(req.Actor, defaultActor())
	admin.Audit(r.Context(), zap.String("action", req.Action), zap.String("actor", req.Actor), zap.String("reason", req.Reason),
		zap.Any("filter", req.Filter), zap.Strings("ids", req.IDs))
	if req.Reason == "" {
		return "", fault{http.StatusBadRequest, "Say why: it stands in the record of the operation and of each event."}
	}
	id, err := c.Operator.Start(r.Context(), req)
	if err != nil {
		return "", fmt.Errorf("start the operation: %w", err)
	}
	admin.Audit(r.Context(), zap.String("operation", id))
	return "/operations/" + url.PathEscape(id), nil
}

func (c *Console) operations(r *http.Request) (any, error) { return c.Operator.Operations(r.Context()) }

// operationData is one operation with some of its items.
type operationData struct {
	Operation

	Items []Item
	// Became is the outcome whose items are shown, empty for all. Next is the link to more.
	Became, Next string
}

func (c *Console) operation(r *http.Request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), askWithin)
	defer cancel()
	id, became := r.PathValue("id"), r.URL.Query().Get("became")
	from, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("from"), "0"))
	if err != nil || from < 0 {
		return nil, fault{http.StatusBadRequest, "from is not the number of an item."}
	}
	d := operationData{Became: became}
	if d.Operation, err = c.Operator.Operation(ctx, id); err != nil {
		return nil, err
	}
	var next int
	if d.Items, next, err = c.Operator.Items(ctx, id, became, from, pageSize); err != nil {
		return nil, err
	}
	if next > 0 {
		d.Next = linkTo("/operations/"+url.PathEscape(id), "became", became, "from", strconv.Itoa(next))
	}
	return d, nil
}

// control pauses, resumes or cancels an operation.
func (c *Console) control(r *http.Request) (string, error) {
	verb := r.PostForm.Get("verb")
	if !slices.Contains([]string{"pause", "resume", "cancel"}, verb) {
		return "", fault{http.StatusBadRequest, "An operation is paused, resumed or cancelled."}
	}
	id := r.PathValue("id")
	admin.Audit(r.Context(), zap.String("operation", id), zap.String("verb", verb), zap.String("actor", defaultActor()))
	return "/operations/" + url.PathEscape(id), c.Operator.Control(r.Context(), id, verb, defaultActor())
}
