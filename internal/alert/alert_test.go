package alert_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/grapnel/grapnel/docs/runbooks"
	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/telemetry"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// fixture is a watch whose facts and clock a test sets.
type fixture struct {
	now   time.Time
	facts alert.Facts
	watch *alert.Watch
	logs  *observer.ObservedLogs
	path  string
}

func newFixture(t *testing.T, targets ...alert.Target) *fixture {
	t.Helper()
	f := &fixture{now: noon, path: filepath.Join(t.TempDir(), "alerts.json")}
	f.open(t, targets...)
	return f
}

func (f *fixture) open(t *testing.T, targets ...alert.Target) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	m, err := telemetry.NewMetrics(telemetry.Labels{}, zap.NewNop())
	require.NoError(t, err)
	f.logs = logs
	f.watch, err = alert.New(alert.Options{
		Facts: func(context.Context) alert.Facts { return f.facts },
		Path:  f.path, Metrics: m, Log: zap.New(core), Now: func() time.Time { return f.now },
	}, alert.Settings{Limits: alert.Defaults(), Runbooks: "https://ops.example.com/runbooks", Targets: targets})
	require.NoError(t, err)
}

// look looks once and returns the changes as "+Rule:subject" or "-Rule:subject".
func (f *fixture) look(t *testing.T) string {
	t.Helper()
	var all []string
	for _, c := range f.watch.Look(t.Context()) {
		sign := "-"
		if c.On {
			sign = "+"
		}
		all = append(all, sign+c.Key())
	}
	return strings.Join(all, " ")
}

// cases are facts that break each rule.
func cases() map[string]struct {
	facts alert.Facts
	key   string
	text  string
} {
	dead := alert.Dead{Count: 30, Before: 5, Oldest: noon.Add(-time.Hour), Worst: "crm: 503"}
	old, expiring := dead, dead
	old.Before, old.Oldest = 30, noon.Add(-30*time.Hour)
	expiring.Before, expiring.Expires = 30, noon.Add(50*time.Hour)
	return map[string]struct {
		facts alert.Facts
		key   string
		text  string
	}{
		alert.EventsFail:      {alert.Facts{Handled: 9, Failed: 2}, "EventsFail", "2 of the 11 events of the last 15m failed (18 %)"},
		alert.DeadLettersGrow: {alert.Facts{Dead: &dead}, "DeadLettersGrow", "30 dead letters, 25 more than an hour ago; most of them: crm: 503"},
		alert.OldDeadLetter:   {alert.Facts{Dead: &old}, "OldDeadLetter", "the oldest dead letter has waited for 1d6h; most of them: crm: 503"},
		alert.DeadLetterExpires: {
			alert.Facts{Dead: &expiring}, "DeadLetterExpires", "Temporal deletes a dead letter in 2d2h; most of them: crm: 503",
		},
		alert.CircuitOpen: {
			alert.Facts{Destinations: []alert.Destination{{Name: "crm", Open: true, Cause: "503 Service Unavailable"}, {Name: "erp"}}},
			"CircuitOpen:crm", "crm gets no events for now: 503 Service Unavailable",
		},
		alert.SpoolStuck: {
			alert.Facts{Spool: &alert.Spool{Depth: 7, Bytes: 1, Max: 100, OldestAge: 6 * time.Minute}},
			"SpoolStuck", "7 events wait on disk, the oldest for 6m",
		},
		alert.SpoolNearlyFull: {
			alert.Facts{Spool: &alert.Spool{Depth: 7, Bytes: 81, Max: 100}}, "SpoolNearlyFull", "the spool is 81 % full, 7 events wait in it",
		},
		alert.NoWorker: {alert.Facts{LastPoll: noon.Add(-4 * time.Minute)}, "NoWorker", "no worker has asked for work for 5m"},
		alert.SourceSilent: {
			alert.Facts{Sources: []alert.Source{{Name: "zoom", Usual: 40}, {Name: "new", Usual: -1}, {Name: "rare", Usual: 3}}},
			"SourceSilent:zoom", "zoom has sent nothing for an hour, in which it sent 40 events last week",
		},
		alert.HandlerPanics: {
			alert.Facts{Panics: map[string]int{"zoom meeting": 3}}, "HandlerPanics:zoom meeting", "zoom meeting has panicked 3 times in the last 15m",
		},
	}
}

func TestEachAlertIsProvokedToldOnceAndClears(t *testing.T) {
	all := cases()
	for _, rule := range alert.Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			c, ok := all[rule.Name]
			require.True(t, ok, "no case provokes it")
			f := newFixture(t)
			require.Empty(t, f.look(t), "nothing is wrong yet")
			f.facts = c.facts
			if rule.For > 0 {
				require.Empty(t, f.look(t), "it has to last")
				f.now = f.now.Add(rule.For)
			}
			require.Equal(t, "+"+c.key, f.look(t))
			f.now = f.now.Add(time.Minute)
			require.Empty(t, f.look(t), "it is told once")
			active := f.watch.Active()
			require.Len(t, active, 1)
			require.Equal(t, rule.Severity, active[0].Severity)
			require.Equal(t, "https://ops.example.com/runbooks/"+rule.Name, active[0].Runbook)
			f.facts = alert.Facts{}
			require.Equal(t, "-"+c.key, f.look(t))
			require.Empty(t, f.look(t))
			require.Empty(t, f.watch.Active())
			require.Len(t, f.watch.Past(), 1)
			lines := f.logs.All()
			require.Len(t, lines, 2)
			require.Equal(t, "alert: "+c.text, lines[0].Message)
			require.Equal(t, zapcore.WarnLevel, lines[0].Level)
			require.Contains(t, lines[1].Message, "alert is over")
		})
	}
}

func TestWhatIsJustWithinALimitIsNoAlert(t *testing.T) {
	for name, facts := range map[string]alert.Facts{
		"a tenth of the events":      {Handled: 18, Failed: 2},
		"ten events that all failed": {Failed: 10},
		"ten dead letters more":      {Dead: &alert.Dead{Count: 15, Before: 5, Oldest: noon}},
		"an unknown number before":   {Dead: &alert.Dead{Count: 15, Before: -1, Oldest: noon}},
		"a destination that works":   {Destinations: []alert.Destination{{Name: "crm"}}},
		"a spool in use":             {Spool: &alert.Spool{Bytes: 80, Max: 100, OldestAge: 5 * time.Minute}},
		"a source that is late":      {Sources: []alert.Source{{Name: "zoom", Hour: 1, Usual: 40}}},
		"nothing known":              {},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.facts = facts
			require.Empty(t, f.look(t))
		})
	}
}

func TestARestartTellsNothingTwice(t *testing.T) {
	f := newFixture(t)
	f.facts = alert.Facts{Failed: 11}
	require.Equal(t, "+EventsFail", f.look(t))
	since := f.watch.Active()[0].Since
	f.now = f.now.Add(time.Hour)
	f.open(t)
	require.Empty(t, f.look(t))
	require.Equal(t, since, f.watch.Active()[0].Since)
	f.facts = alert.Facts{}
	f.open(t)
	require.Equal(t, "-EventsFail", f.look(t))
}

// A circuit breaker lives in its process and is closed after a restart, which does not prove that
// the destination is back.
func TestARestartGivesNoAllClearForACircuit(t *testing.T) {
	f := newFixture(t)
	crm := alert.Destination{Name: "crm", Open: true, Cause: "503"}
	f.facts = alert.Facts{Destinations: []alert.Destination{crm}}
	require.Empty(t, f.look(t))
	f.now = f.now.Add(time.Minute)
	require.Equal(t, "+CircuitOpen:crm", f.look(t))
	f.open(t)
	f.facts.Destinations[0] = alert.Destination{Name: "crm", Unproven: true}
	require.Empty(t, f.look(t))
	require.Len(t, f.watch.Active(), 1)
	f.facts.Destinations[0] = alert.Destination{Name: "crm"}
	require.Equal(t, "-CircuitOpen:crm", f.look(t))
	f.facts.Destinations[0] = alert.Destination{Name: "crm", Unproven: true}
	require.Empty(t, f.look(t), "what was not on does not begin")
}

// mailbox is a target that refuses the first tries.
type mailbox struct {
	mu     sync.Mutex
	refuse int
	ids    []string
	bodies chan string
}

func (m *mailbox) post(_ context.Context, id string, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids = append(m.ids, id)
	if m.refuse > 0 {
		m.refuse--
		return errors.New("not now")
	}
	m.bodies <- string(body)
	return nil
}

func TestTargetsHearOfBothChangesInTheirOwnShape(t *testing.T) {
	on := `"since":"2026-03-04T12:00:00Z"`
	for _, c := range []struct {
		format  alert.Format
		on, off []string
	}{
		{
			alert.FormatJSON,
			[]string{`"type":"grapnel.alert.on"`, `"alert":"CircuitOpen"`, `"subject":"crm"`, on, `runbooks/CircuitOpen"`},
			[]string{`"type":"grapnel.alert.off"`, `"ended":"2026-03-04T12:05:00Z"`},
		},
		{
			alert.FormatSlack,
			[]string{`{"text":`, `*CircuitOpen*`, `\u0026lt;script\u0026gt;`},
			[]string{`is over after 5m`},
		},
		{
			alert.FormatPagerDuty,
			[]string{`"event_action":"trigger"`, `"dedup_key":"grapnel:CircuitOpen:crm"`, `"routing_key":"R0"`, `"severity":"critical"`},
			[]string{`"event_action":"resolve"`, `"dedup_key":"grapnel:CircuitOpen:crm"`},
		},
	} {
		t.Run(string(c.format), func(t *testing.T) {
			box := &mailbox{refuse: 1, bodies: make(chan string, 2)}
			f := newFixture(t, alert.Target{Name: "ops", Format: c.format, RoutingKey: "R0", Post: box.post})
			f.facts = alert.Facts{Destinations: []alert.Destination{{Name: "crm", Open: true, Cause: "<script>"}}}
			f.look(t)
			f.now = f.now.Add(5 * time.Minute)
			f.look(t)
			body := <-box.bodies
			for _, want := range c.on {
				require.Contains(t, body, want)
			}
			f.facts = alert.Facts{}
			f.look(t)
			body = <-box.bodies
			for _, want := range c.off {
				require.Contains(t, body, want)
			}
			require.Equal(t, box.ids[0], box.ids[1], "a second try is the same message")
			require.NotEqual(t, box.ids[1], box.ids[2])
		})
	}
}

func TestEachAlertHasARunbook(t *testing.T) {
	for _, r := range alert.Rules() {
		page, ok := runbooks.Page(r.Name)
		require.True(t, ok, "docs/runbooks/%s.md is missing", r.Name)
		require.Contains(t, page, "# "+r.Name)
		require.Contains(t, page, "## Do")
	}
}

func TestLengthsOfTimeForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 42 * time.Second: "42s", 61 * time.Minute: "1h1m", 2 * time.Hour: "2h", 90 * time.Second: "1m",
		26 * time.Hour: "1d2h",
	} {
		require.Equal(t, want, alert.Ago(d))
	}
}
