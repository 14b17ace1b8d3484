package console_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/console"
	"github.com/grapnel/grapnel/internal/console/browsertest"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// company is a user's grapnel on a bad day: the CRM has answered 503 for twelve minutes, the
// warehouse is paused, and one source has gone silent.
type company struct {
	now  time.Time
	dice *rand.Rand
	set  *series.Set
	rows []eventlog.Row
	dead []eventlog.Row
}

// senders are the company's sources, each with its events per minute.
func senders() map[string]float64 {
	return map[string]float64{"stripe": 4, "zoom": 1.5, "github": 0.8, "shopify-eu-production": 2.5, "slack": 0.3}
}

// targets are the company's routes, each with the source of its events.
func targets() map[string]string {
	return map[string]string{
		"crm": "zoom", "billing": "stripe", "warehouse": "shopify-eu-production", "search-index": "github", "zoom/meeting/ended": "zoom",
	}
}

func newCompany(days int) *company {
	c := &company{dice: rand.New(rand.NewPCG(1, 2)), now: noon.Add(-time.Duration(days) * 24 * time.Hour)}
	c.set = series.New(func() time.Time { return c.now })
	for ; c.now.Before(noon); c.now = c.now.Add(time.Minute) {
		if at := noon.Sub(c.now); at < 9*time.Hour && at > 8*time.Hour {
			continue // grapnel was stopped for this hour.
		}
		c.set.Alive()
		c.minute(noon.Sub(c.now))
	}
	c.now = noon.Add(30 * time.Second)
	c.set.Alive()
	c.events()
	return c
}

// minute records the events of one minute, which is ago before noon.
func (c *company) minute(ago time.Duration) {
	day := 0.6 + 0.4*math.Sin(float64(c.now.Hour())/24*2*math.Pi)
	crmDown := ago < 12*time.Minute
	for source, rate := range senders() {
		n := math.Floor(rate*day*2*c.dice.Float64() + 0.5)
		if source == "slack" && ago < 2*time.Hour {
			n = 0
		}
		c.set.Add(series.Received+source, n)
		c.set.Add(series.Outcome+"started", n)
		c.set.Add(series.Outcome+"duplicate", math.Floor(c.dice.Float64()*1.2))
		if c.dice.Float64() < 0.05 {
			c.set.Add(series.Refused+source, 1+math.Floor(3*c.dice.Float64()))
		}
		handled := n
		if crmDown && source == "zoom" || ago < 4*time.Hour && ago > 230*time.Minute {
			handled = 0
			c.set.Add(series.Died+source, n)
		}
		c.set.Add(series.Handled+source, handled)
		for route, of := range targets() {
			if of != source {
				continue
			}
			result := "done"
			if crmDown && route == "crm" {
				result = "failed"
			}
			c.set.Add(series.Attempt+result+":"+route, n)
			c.set.Took(series.Route+route, time.Duration(20+200*c.dice.Float64())*time.Millisecond)
			if result == "done" {
				c.set.Add(series.Tries+"1", n)
				c.set.Add(series.Tries+fmt.Sprint(2+c.dice.IntN(3)), math.Floor(n/5))
			}
		}
		c.set.Took(series.Answer, time.Duration(3+20*c.dice.Float64())*time.Millisecond)
	}
	c.set.Most(series.Shut+"billing", series.ShutNot)
	c.set.Most(series.Shut+"crm", map[bool]float64{true: series.ShutOpen}[crmDown])
	c.set.Most(series.Shut+"warehouse", map[bool]float64{true: series.ShutPaused}[ago < 40*time.Minute])
	c.set.Most(series.Shut+"search-index", map[bool]float64{true: series.ShutTrying}[ago < 2*time.Minute])
	c.set.Took(series.Answer, time.Duration(50+300*c.dice.Float64())*time.Millisecond)
	c.set.Level(series.DeadLetters, 40)
	c.set.Most(series.DeadAge, 86400-ago.Seconds()/2)
	c.set.Most(series.RunningAge, 4000*c.dice.Float64())
	c.set.Most(series.SpoolAge, 0)
}

// id makes an event ID.
func (c *company) id() string {
	b := make([]byte, 32)
	for i := range b {
		b[i] = byte(c.dice.Uint32())
	}
	return hex.EncodeToString(b)
}

// reasons are the dead letters' reasons, each with source, type and route.
func reasons() []struct{ source, typ, subject, route, reason, text string } {
	return []struct{ source, typ, subject, route, reason, text string }{
		{"zoom", "meeting.started", "Weekly Team Meeting", "crm", "503 Service Unavailable", "destination crm: POST https://crm.example.com/hooks was answered 503 Service Unavailable"},
		{"zoom", "meeting.ended", "Q3 planning with the whole of Vertrieb & Marketing, Raum „Zugspitze“", "crm", "503 Service Unavailable", "destination crm: POST https://crm.example.com/hooks was answered 503 Service Unavailable"},
		{"stripe", "invoice.payment_failed", "in_1QXa2bCdEfGhIjKl", "billing", "409 Conflict", "destination billing: POST https://billing.internal/v2/stripe was answered 409 Conflict"},
		{"shopify-eu-production", "orders/create", "#1042", "warehouse", "timeout", "destination warehouse: no answer within 5s"},
		{"github", "pull_request", "grapnel/grapnel#481", "search-index", "net.OpError", "destination search-index: dial tcp 10.1.2.3:9200: connection refused"},
		{"github", "workflow_run", "", "", "unmatched", "no handler for github/workflow_run"},
		{"zoom", "meeting.ended", "1:1", "zoom/meeting/ended", "panic", "panic: runtime error: index out of range [3] with length 3"},
	}
}

func (c *company) events() {
	why := reasons()
	for i := range 400 {
		w := why[c.dice.IntN(len(why))]
		at := c.now.Add(-time.Duration(i*i/20) * time.Second)
		row := eventlog.Row{
			ID: c.id(), Run: "3f0c", State: eventlog.Handled, Source: w.source, Type: w.typ, Subject: w.subject, Started: at,
			Ended: at.Add(300 * time.Millisecond), Time: at.Add(-time.Second),
		}
		switch {
		case i%4 == 1 || i < 3:
			row.State, row.Reason, row.Route, row.Error, row.Attempts = eventlog.Dead, w.reason, w.route, w.text, 11
			if w.route != "" {
				row.Routes = []string{w.route}
			}
			c.dead = append(c.dead, row)
		case i%9 == 2:
			row.State, row.Ended = eventlog.Running, time.Time{}
		case i%40 == 3:
			row.State = eventlog.Discarded
		}
		c.rows = append(c.rows, row)
	}
}

// List implements console.Events.
func (c *company) List(_ context.Context, f eventlog.Filter) ([]eventlog.Row, bool, error) {
	var rows []eventlog.Row
	for _, r := range c.rows {
		if (f.State == "" || f.State == r.State) && f.Match(r) {
			rows = append(rows, r)
		}
	}
	return rows[:min(len(rows), f.Limit)], len(rows) > f.Limit, nil
}

// Show implements console.Events.
func (c *company) Show(_ context.Context, id string) (*eventlog.Story, error) {
	for _, r := range c.rows {
		if r.ID == id {
			return c.story(r), nil
		}
	}
	return nil, eventlog.ErrUnknown
}

func (c *company) story(r eventlog.Row) *eventlog.Story {
	at := r.Started
	s := &eventlog.Story{
		Row: r, Event: event.Event{ID: r.ID, Source: r.Source, Type: r.Type, SenderID: "evt_1QXa2bCdEfGhIjKl", DataContentType: "application/json", Received: at, Time: at},
		Body: []byte(`{"event":"` + r.Type + `","event_ts":1772625540123,"payload":{"account_id":"AAAAAABBBB","object":{"uuid":"4444AAAiAAAAAiAiAiiAii==","id":"1234567890","host_id":"x1yCzABCDEfg23HiJKl4mN","topic":"` + r.Subject + `","type":2,"start_time":"2026-03-04T11:00:00Z","timezone":"Europe/Berlin","duration":60}}}`),
	}
	if r.Route == "" {
		return s
	}
	s.Routes = []eventlog.RouteState{
		{Name: r.Route, State: "failed", Attempt: 11, Attempts: 11, Failure: r.Error},
		{Name: "search-index", State: "done", Attempt: 1, Attempts: 11},
		{Name: "warehouse", State: "waiting", Attempt: 3, Attempts: 11, Next: c.now.Add(7 * time.Minute), Failure: "destination warehouse: no answer within 5s"},
	}
	s.Steps = []eventlog.Step{
		{Time: at, Kind: "received", Text: "received from " + r.Source},
		{Time: at.Add(10 * time.Millisecond), Kind: "planned", Text: "planned: " + r.Route + ", search-index, warehouse"},
		{Time: at.Add(90 * time.Millisecond), Kind: "done", Route: "search-index", Text: "attempt 1 worked", Took: 81 * time.Millisecond},
		{Time: at.Add(220 * time.Millisecond), Kind: "failed", Route: r.Route, Text: "attempt 1 failed: " + r.Error, Took: 200 * time.Millisecond},
		{Time: at.Add(230 * time.Millisecond), Kind: "wait", Route: r.Route, Text: "waits 1s for attempt 2"},
		{Time: at.Add(2 * time.Second), Kind: "failed", Route: r.Route, Text: "attempt 2 failed: " + r.Error, Stack: strings.Repeat("goroutine 42 [running]:\ngithub.com/grapnel/grapnel/activities.(*Activities).MeetingEnded(0xc000012345, {0x1234, 0xc0000})\n\t/src/activities/meeting_ended.go:21 +0x1b\n", 3)},
		{Time: at.Add(3 * time.Second), Kind: "dead", Text: "became a dead letter"},
	}
	s.Runs = []eventlog.Row{{ID: r.ID, Run: "a1", State: eventlog.Dead, Started: at.Add(-time.Hour)}}
	return s
}

// Preview implements console.Operator.
func (c *company) Preview(_ context.Context, r console.Request) (console.Preview, error) {
	var rows []eventlog.Row
	for _, row := range c.dead {
		if r.Filter.Match(row) && (len(r.IDs) == 0 || r.IDs[0] == row.ID) {
			rows = append(rows, row)
		}
	}
	return console.Preview{Count: len(rows), Cannot: 1, Why: []string{"4444aaaa12: it is being replayed already."}, By: eventlog.Groups(rows, eventlog.ByReason)}, nil
}

// Start implements console.Operator.
func (c *company) Start(context.Context, console.Request) (string, error) { return c.ops()[0].ID, nil }

func (c *company) ops() []console.Operation {
	return []console.Operation{
		{ID: "replay-20260304-115500-4f2a", Action: "replay", State: "running", Actor: "ann@laptop", Reason: "the CRM is back since 11:50", Filter: "route is crm, reason is 503 Service Unavailable", Started: noon.Add(-5 * time.Minute), Total: 1240, Done: 730, Failed: 3, Results: []console.Result{{Outcome: "handled", Key: "handled", Count: 727}, {Outcome: "failed again for the same reason", Key: "failed_same", Count: 3}, {Outcome: "being handled", Key: "started", Count: 12}}},
		{ID: "replay-20260304-090000-11aa", Action: "replay", State: "stopped", Actor: "bob@laptop", Reason: "first try", Note: "stopped: 20 of 20 failed again with the same reason", Started: noon.Add(-3 * time.Hour), Total: 1300, Done: 20, Failed: 20},
		{ID: "discard-20260301-090000-77c0", Action: "discard", State: "done", Actor: "ann@laptop", Reason: "test data of the vendor", Started: noon.Add(-75 * time.Hour), Ended: noon.Add(-74 * time.Hour), Total: 12, Done: 12, Results: []console.Result{{Outcome: "discarded", Count: 12}}},
	}
}

// Operations implements console.Operator.
func (c *company) Operations(context.Context) ([]console.Operation, error) { return c.ops(), nil }

// Operation implements console.Operator.
func (c *company) Operation(context.Context, string) (console.Operation, error) {
	return c.ops()[0], nil
}

// Items implements console.Operator.
func (c *company) Items(context.Context, string, string, int, int) (items []console.Item, next int, err error) {
	for i, r := range c.dead[:30] {
		x := console.Item{ID: r.ID, Outcome: "handled", At: c.now.Add(-time.Duration(i) * time.Second)}
		if i%9 == 4 {
			x.Outcome, x.Why = "failed again for the same reason", r.Error
		}
		items = append(items, x)
	}
	return items, 30, nil
}

// Control implements console.Operator.
func (c *company) Control(context.Context, string, string, string) error { return nil }

func (c *company) census() eventlog.Census {
	return eventlog.Census{At: c.now.Add(-9 * time.Second), Rows: c.dead, Count: len(c.dead), Unsettled: 44, Oldest: c.now.Add(-70 * time.Minute)}
}

func (c *company) destinations() []console.Destination {
	return []console.Destination{
		{Name: "billing", Kind: "http", Target: "POST https://billing.internal/v2/stripe", State: "works", Events: []string{"stripe/*"}},
		{Name: "crm", Kind: "http", Target: "POST https://crm.example.com/hooks", State: "open", Events: []string{"zoom/meeting.*"}, Since: c.now.Add(-12 * time.Minute), Until: c.now.Add(140 * time.Second), Why: "POST https://crm.example.com/hooks was answered 503 Service Unavailable: upstream connect error or disconnect/reset before headers. reset reason: connection failure"},
		{Name: "search-index", Kind: "workflow", Target: "IndexDocument on task queue search", State: "trying", Events: []string{"github/*"}, Since: c.now.Add(-time.Minute), Why: "dial tcp 10.1.2.3:9200: connection refused"},
		{Name: "warehouse", Kind: "http", Target: "POST https://warehouse.example.com/api/incoming/webhooks/shopify/eu/production?tenant=4711", State: "paused", Events: []string{"shopify-eu-production/orders/*", "shopify-eu-production/fulfillments/*"}, Since: c.now.Add(-40 * time.Minute), Why: "paused by bob@laptop: stocktaking until two"},
	}
}

func (c *company) options(t *testing.T) console.Options {
	t.Helper()
	rejections := admin.NewRejections(admin.Bounds{})
	for i := range 9 {
		rejections.Add(admin.Rejection{
			Time: c.now.Add(-time.Duration(9-i) * time.Minute), Source: []string{"zoom", "stripe", ""}[i%3], Reason: []string{"signature", "timestamp-too-old", "unknown-source"}[i%3],
			Detail: "the signature in X-Zm-Signature is not that of the body under any of the 2 secrets", Status: []int{401, 400, 404}[i%3], Client: "203.0.113.7",
			Method: "POST", Path: "/webhooks/" + []string{"zoom", "stripe", "wp-login.php"}[i%3], Body: []byte(`{"event":"meeting.started","payload":{"object":{"topic":"A meeting"}}}`), BodySize: 71,
			Headers: []admin.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "X-Zm-Signature", Value: "v0=••••"}, {Name: "User-Agent", Value: "Zoom Marketplace/1.0a"}},
		})
	}
	m, err := telemetry.NewMetrics(telemetry.Labels{}, zap.NewNop())
	require.NoError(t, err)
	now := c.now
	facts := alert.Facts{}
	watch, err := alert.New(alert.Options{
		Facts: func(context.Context) alert.Facts { return facts }, Metrics: m, Log: zap.NewNop(), Now: func() time.Time { return now },
	}, alert.Settings{Limits: alert.Defaults()})
	require.NoError(t, err)
	look := func(ago time.Duration, f alert.Facts) {
		now, facts = c.now.Add(-ago), f
		watch.Look(t.Context())
	}
	look(26*time.Hour, alert.Facts{Panics: map[string]int{"zoom/meeting/ended": 3}})
	look(25*time.Hour, alert.Facts{})
	bad := alert.Facts{
		Handled: 180, Failed: 41, Destinations: []alert.Destination{{Name: "crm", Open: true, Cause: c.destinations()[1].Why}},
		Sources: []alert.Source{{Name: "slack", Usual: 31}},
	}
	look(12*time.Minute, bad)
	look(2*time.Minute, bad)
	now = c.now
	return console.Options{
		Series: c.set, Events: c, Alerts: watch, Operator: c, Rejections: rejections, Letters: c.census,
		Sources: func() []console.Source {
			var all []console.Source
			for _, name := range []string{"github", "shopify-eu-production", "slack", "stripe", "zoom"} {
				last := c.now.Add(-20 * time.Second)
				one := console.Source{Name: name, Provider: strings.TrimSuffix(name, "-eu-production"), URL: "https://hooks.example.com/webhooks/" + name, Last: last}
				switch name {
				case "slack":
					one.Last = c.now.Add(-2 * time.Hour)
				case "github":
					one.Paused, one.Why = c.now.Add(-20*time.Minute), "source github is paused by ann@laptop: a bot floods it"
				}
				all = append(all, one)
			}
			return all
		},
		OnDisk:       func() int { return 1204 },
		Destinations: c.destinations,
		Configuration: func(context.Context) console.Configuration {
			return console.Configuration{
				Path: "/etc/grapnel/grapnel.yaml", Fingerprint: "c0ffee" + strings.Repeat("0a", 29), Loaded: c.now.Add(-3 * time.Hour),
				Fault:       "/etc/grapnel/grapnel.yaml:41:5: destinations.crm.http.url: is not an address: give https://host/path",
				Warnings:    []string{"sources.zoom.secrets: it is the one that everyone knows, from the example: replace it"},
				Unreachable: []string{"destination search-index: no source of the configuration sends what it takes: there is no source githbu; did you mean github?"},
				Spool:       &console.Spool{Depth: 1204, Oldest: 40 * time.Second, Refused: 2, Bytes: 3 << 20, Max: 1 << 30, Drain: 820},
				Checks: map[string]admin.Check{
					"temporal": {OK: true}, "worker": {OK: true}, "spool": {OK: true}, "process": {OK: true},
				},
			}
		},
		Pause: func(context.Context, string, string, event.PauseChange) error { return nil },
		WebUI: "http://127.0.0.1:8233", Namespace: "default", Version: "grapnel v0.9.0", Log: zap.NewNop(), Now: func() time.Time { return c.now },
		Sessions: console.NewSessions("", "", func() time.Time { return c.now }),
	}
}

// gallery are all pages by name.
func (c *company) gallery() map[string]string {
	return map[string]string{
		"overview": "/", "overview-24h": "/?range=24h", "events": "/events", "events-none": "/events?state=broken", "event": "/events/" + c.dead[0].ID,
		"dead-letters": "/dead-letters", "dead-letters-crm": "/dead-letters?route=crm&by=type", "confirm-replay": "/dead-letters/confirm?action=replay&route=crm",
		"confirm-discard": "/dead-letters/confirm?action=discard", "operations": "/operations", "operation": "/operations/x", "sources": "/sources",
		"destinations": "/destinations", "configuration": "/configuration", "alerts": "/alerts", "runbook": "/runbooks/CircuitOpen", "fault": "/events/x",
	}
}

func TestThePagesAreReadableInABrowser(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	c := newCompany(8)
	o := c.options(t)
	server := httptest.NewServer(page(t, o))
	t.Cleanup(server.Close)
	locked := o
	locked.Sessions = console.NewSessions("a-token-for-the-tests", "", nil)
	behind := httptest.NewServer(page(t, locked))
	t.Cleanup(behind.Close)
	b, stranger := browsertest.New(t, server.URL), browsertest.New(t, behind.URL)
	for _, look := range browsertest.Looks() {
		judge := func(b *browsertest.Browser, name, path string) {
			b.As(t, look)
			b.Open(t, path)
			b.Shoot(t, name+"-"+look.String())
			for _, fault := range append(b.Audit(t), b.Faults()...) {
				if name == "fault" && strings.Contains(fault, "404") {
					continue // It is one.
				}
				t.Errorf("%s, %s: %s", name, look, fault)
			}
		}
		for name, path := range c.gallery() {
			judge(b, name, path)
		}
		judge(stranger, "login", "/login")
	}
}
