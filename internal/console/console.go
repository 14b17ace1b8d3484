// Package console is the operations page, at / of the admin listener. It answers at a glance: is
// anything wrong, since when, whose fault, what do I do.
//
// The pages are made on the server and need no script; forms are plain forms. The one script
// reloads a page that is in view. No page loads anything from another host, and the content
// security policy allows our own files only, so that a sender's text could do no harm even if
// escaping it were forgotten somewhere.
//
// The plots are our own SVG: bars and lines, a page of code. github.com/go-analyze/charts does not
// fit, because it writes colours as style attributes, which the policy forbids and which have no
// dark mode, and because its bars can't be links or have titles.
package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/telemetry/fleet"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

//go:embed templates/*.html static/*
var files embed.FS

// Options is what the pages show and do. A page or a part whose option is nil is not shown.
type Options struct {
	Series *series.Set
	// Fleet reads the series of all processes from Prometheus, where one is configured.
	Fleet  *fleet.Reader
	Events Events
	// Letters returns the latest count of open dead letters.
	Letters func() eventlog.Census
	Alerts  *alert.Watch
	// OnDisk returns how many events wait on this process's disk; nil if it has no disk queue.
	OnDisk func() int
	// Sources, Destinations and Configuration are called for each page.
	Sources       func() []Source
	Destinations  func() []Destination
	Configuration func(ctx context.Context) Configuration
	Rejections    *admin.Rejections
	// Operator acts on dead letters.
	Operator Operator
	// Pause pauses or resumes a source or a destination; kind is event.PauseSource or
	// event.PauseDestination.
	Pause func(ctx context.Context, kind, name string, change event.PauseChange) error
	// WebUI is the address of Temporal's Web UI; empty if it is not known.
	WebUI     string
	Namespace string
	Version   string
	// Sessions knows who is logged in.
	Sessions *Sessions
	Log      *zap.Logger
	Now      func() time.Time
}

// Events finds events.
type Events interface {
	List(ctx context.Context, f eventlog.Filter) (rows []eventlog.Row, more bool, err error)
	Show(ctx context.Context, id string) (*eventlog.Story, error)
}

// Source is a sender as the pages show it.
type Source struct {
	Name, Provider, URL string
	Last                time.Time
	// Paused is when it was paused, zero if it is not. Why says by whom and why.
	Paused time.Time
	Why    string
}

// Destination is a target as the pages show it.
type Destination struct {
	Name, Kind, Target string
	Events             []string
	// State is works, open, trying or paused; empty if it is not known.
	State string
	// Since is when the state began, Why its cause, Until when it ends by itself.
	Since, Until time.Time
	Why          string
}

// Configuration is the configuration in force, and the state of the process's parts.
type Configuration struct {
	Path, Fingerprint string
	Loaded            time.Time
	Fault             string
	Warnings          []string
	// Unreachable are the bindings and destinations that no source can reach.
	Unreachable []string
	// Checks are the results of the readiness checks, by the name of the part.
	Checks map[string]admin.Check
	// Spool is what waits on disk; nil without a spool.
	Spool *Spool
}

// Spool is the disk queue as the pages show it.
type Spool struct {
	// Depth is how many events wait, Oldest the age of the oldest of them, and Refused how many
	// are set aside because Temporal will never take them.
	Depth, Refused int
	Oldest         time.Duration
	Bytes, Max     int64
	// Drain is how many events per second go from the spool to Temporal.
	Drain float64
}

// Request is what an operator asks for: an action on dead letters.
type Request struct {
	// Action is replay or discard.
	Action string
	// IDs are event IDs. If there are none, the filter selects the letters.
	IDs    []string
	Filter eventlog.Filter
	Actor  string
	Reason string
}

// Preview is what a request would do.
type Preview struct {
	// Count is how many letters it would act on, Cannot how many it can't act on.
	Count, Cannot int
	// Why gives the reasons of Cannot, By groups the letters of Count.
	Why []string
	By  []eventlog.Group
}

// Operation is one action on many dead letters, as the pages show it.
type Operation struct {
	ID, Action, State, Actor, Reason, Filter string
	// Note says why it is stopped, paused or cancelled.
	Note                string
	Started, Ended      time.Time
	Total, Done, Failed int
	// Results counts the items by what became of them.
	Results []Result
}

// Result counts items of an operation.
type Result struct {
	// Outcome is in words; Key names it in the link to its items.
	Outcome, Key string
	Count        int
}

// Item is one dead letter of an operation, and what became of it.
type Item struct {
	ID, Outcome, Why string
	At               time.Time
}

// Operator acts on dead letters.
type Operator interface {
	Preview(ctx context.Context, r Request) (Preview, error)
	// Start begins an operation and returns its ID.
	Start(ctx context.Context, r Request) (string, error)
	Operations(ctx context.Context) ([]Operation, error)
	Operation(ctx context.Context, id string) (Operation, error)
	// Items returns up to most items of an operation, from number from on. If key is not empty, it
	// returns only items of that outcome. next is the number to go on from, 0 at the end.
	Items(ctx context.Context, id, key string, from, most int) (items []Item, next int, err error)
	// Control pauses, resumes or cancels an operation: verb is pause, resume or cancel.
	Control(ctx context.Context, id, verb, actor string) error
}

// Console serves the pages. Make one with New.
type Console struct {
	Options
	pages map[string]*template.Template
	mux   *http.ServeMux
}

// New makes the console. An error means that a template is broken.
func New(o Options) (*Console, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Console{Options: o, pages: map[string]*template.Template{}, mux: http.NewServeMux()}
	if err := c.parse(); err != nil {
		return nil, err
	}
	c.route()
	return c, nil
}

// parse reads the templates, each with the layout.
func (c *Console) parse() error {
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return err
	}
	for _, name := range names {
		page := strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ".html")
		t, err := template.New("layout.html").Funcs(c.funcs()).ParseFS(files, "templates/layout.html", name)
		if err != nil {
			return fmt.Errorf("read a page: %w", err)
		}
		c.pages[page] = t
	}
	return nil
}

// page makes one page: it returns the template's data, or an error.
type page func(r *http.Request) (data any, err error)

func (c *Console) route() {
	show := func(pattern, name string, p page) {
		c.mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) { c.show(w, r, name, p) })
	}
	show("/{$}", "overview", c.overview)
	show("/events", "events", c.events)
	show("/events/{id}", "event", c.event)
	show("/dead-letters", "letters", c.letters)
	show("/sources", "sources", c.sources)
	show("/destinations", "destinations", c.destinations)
	show("/configuration", "configuration", c.configuration)
	show("/alerts", "alerts", c.alerts)
	show("/runbooks/{name}", "runbook", c.runbook)
	c.mux.HandleFunc("GET /events/{id}/body", c.body)
	if c.Operator != nil {
		show("/operations", "operations", c.operations)
		show("/operations/{id}", "operation", c.operation)
		show("/dead-letters/confirm", "confirm", c.confirm)
		c.mux.Handle("POST /dead-letters", c.act(c.begin))
		c.mux.Handle("POST /operations/{id}", c.act(c.control))
	}
	if c.Pause != nil {
		c.mux.Handle("POST /destinations/{name}", c.act(c.pause(event.PauseDestination)))
		c.mux.Handle("POST /sources/{name}", c.act(c.pause(event.PauseSource)))
	}
	c.mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) { c.show(w, r, "login", c.loginPage) })
	c.mux.HandleFunc("POST /login", c.login)
	c.mux.Handle("POST /logout", c.act(c.logout))
	static, _ := fs.Sub(files, "static") // It is embedded.
	c.mux.Handle("GET /static/", http.StripPrefix("/static/", cached(http.FileServerFS(static))))
}

// cached lets a browser keep the files for an hour.
func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		next.ServeHTTP(w, r)
	})
}

// contentPolicy allows our own files and nothing else. What it does not name is forbidden, images
// for instance.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if !c.Sessions.open(r) && c.Sessions.Role(r) == "" {
		http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	c.mux.ServeHTTP(w, r)
}

// Patterns are the patterns of the admin listener that the console serves.
func (c *Console) Patterns() []string {
	return []string{
		"/{$}", "/events", "/events/", "/dead-letters", "/dead-letters/", "/operations", "/operations/", "/sources", "/sources/",
		"/destinations", "/destinations/", "/configuration", "/alerts", "/runbooks/", "/login", "/logout", "/static/",
	}
}

// frame is what the layout shows around a page.
type frame struct {
	Page   string
	Path   string
	Now    time.Time
	Alerts []alert.Alert
	// Notes are troubles that no alert reports, and Dead is how many dead letters are open.
	Notes   []note
	Dead    int
	Role    string
	User    bool
	CSRF    string
	Version string
	WebUI   string
	// Refresh is the number of seconds after which the script reloads the page; 0 is never.
	Refresh int
	Data    any
}

// fillFrame adds what every page shows: alerts, dead letters and notes.
func (c *Console) fillFrame(f *frame) {
	if c.Alerts != nil {
		f.Alerts = c.Alerts.Active()
	}
	if c.Letters != nil {
		f.Dead = c.Letters().Count
	}
	if f.Page == "overview" {
		f.Notes = c.notes(f.Alerts)
	}
}

// fault is an error for people, with an HTTP status.
type fault struct {
	status int
	text   string
}

func (f fault) Error() string { return f.text }

// faultData is the template data of a fault's page.
type faultData struct{ Title, Text string }

// Fault makes an error that the console answers with this HTTP status and text.
func Fault(status int, text string) error { return fault{status, text} }

// show answers with a page, or with the fault that its function returned.
func (c *Console) show(w http.ResponseWriter, r *http.Request, name string, p page) {
	data, err := p(r)
	if moved, ok := errors.AsType[redirect](err); ok {
		http.Redirect(w, r, string(moved), http.StatusSeeOther)
		return
	}
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadGateway
		var f fault
		switch {
		case errors.As(err, &f):
			status = f.status
		case errors.Is(err, eventlog.ErrUnknown):
			status = http.StatusNotFound
		}
		name, data = "fault", faultData{"That did not work", err.Error()}
		if status < http.StatusBadRequest {
			data = faultData{"Not yet", err.Error()}
		}
	}
	f := frame{
		Page: name, Path: r.URL.Path, Now: c.Now(), Role: c.Sessions.Role(r), User: c.Sessions.needed(), CSRF: c.Sessions.csrf(r),
		Version: c.Version, WebUI: c.WebUI, Data: data,
	}
	if f.Role != "" {
		c.fillFrame(&f)
	}
	switch name {
	case "overview", "operations", "operation", "destinations", "alerts":
		f.Refresh = 10
	case "event":
		f.Refresh = 5
	default: // Lists are not reloaded, because they would move while somebody reads them.
	}
	var out bytes.Buffer
	if err := c.pages[name].Execute(&out, f); err != nil {
		c.Log.Error("a page can't be made", zap.String("page", name), zap.Error(err))
		http.Error(w, "This page can't be made; the log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w)
}

// act handles a form: it calls do only if the form comes from one of our pages and its sender may
// operate, and then redirects to next.
func (c *Console) act(do func(r *http.Request) (next string, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		fail := func(status int, text string) {
			c.show(w, r, "fault", func(*http.Request) (any, error) { return nil, fault{status, text} })
		}
		switch {
		case r.ParseForm() != nil:
			fail(http.StatusBadRequest, "The form can't be read.")
		case !c.Sessions.sent(r):
			fail(http.StatusForbidden, "This form is out of date. Go back, load the page again, and repeat it.")
		case c.Sessions.Role(r) != RoleOperate && r.URL.Path != "/logout":
			fail(http.StatusForbidden, "You are logged in to look only. Log in with the admin token to act.")
		default:
			next, err := do(r)
			if err != nil {
				c.show(w, r, "fault", func(*http.Request) (any, error) { return nil, err })
				return
			}
			if r.URL.Path == "/logout" {
				c.Sessions.end(w)
			}
			http.Redirect(w, r, next, http.StatusSeeOther)
		}
	})
}

// maxForm is the longest form that is read, in bytes.
const maxForm = 1 << 20
