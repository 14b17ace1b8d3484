package alert

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/telemetry"
)

// Alert is a finding that has lasted as long as its rule's For.
type Alert struct {
	Finding
	Severity Severity `json:"severity"`
	// Since is when it was first found, Ended when it was no longer found.
	Since time.Time `json:"since"`
	Ended time.Time `json:"ended,omitzero"`
	// Runbook is the address of its runbook.
	Runbook string `json:"runbook"`
}

// Change is an alert that went on or off.
type Change struct {
	Alert
	On bool
}

// ID identifies the change. It is the same for all targets and tries, and another one when the
// alert goes on or off the next time.
func (c Change) ID() string {
	state := "off"
	if c.On {
		state = "on"
	}
	return fmt.Sprintf("grapnel-alert-%s-%d-%s", c.Key(), c.Since.Unix(), state)
}

// Settings are the alerts' part of the configuration.
type Settings struct {
	Limits Limits
	// Runbooks is the address of the runbooks, without a slash at its end.
	Runbooks string
	// Targets are told of each change.
	Targets []Target
}

// Options are what a Watch needs.
type Options struct {
	// Facts returns the facts to judge. Now is filled in by the Watch.
	Facts func(context.Context) Facts
	// Path is the file in which alerts survive a restart, so that targets are not told twice; empty
	// means no file.
	Path    string
	Metrics *telemetry.Metrics
	Log     *zap.Logger
	Now     func() time.Time
}

// Watch finds alerts and keeps them. Make one with New.
type Watch struct {
	o Options

	mu       sync.Mutex
	settings Settings
	// found is since when each finding lasts; on are the alerts that targets know. Both are by key.
	found map[string]time.Time
	on    map[string]Alert
	past  []Alert
}

// maxPast is how many ended alerts are remembered.
const maxPast = 100

// New makes a watch. An error means that the file can't be read or the metric can't be made.
func New(o Options, s Settings) (*Watch, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Watch{o: o, settings: s, found: map[string]time.Time{}, on: map[string]Alert{}}
	if err := w.load(); err != nil {
		return nil, err
	}
	return w, o.Metrics.Observe(telemetry.MetricAlert, func(say func(float64, ...string)) {
		counts := map[string]float64{}
		for _, a := range w.Active() {
			counts[a.Rule] = 1
		}
		for _, r := range Rules() {
			say(counts[r.Name], r.Name)
		}
	})
}

// Configure replaces the settings, from the next Look on.
func (w *Watch) Configure(s Settings) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settings = s
}

func (w *Watch) inForce() Settings {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settings
}

// Active returns the alerts that are on, critical ones first.
func (w *Watch) Active() []Alert {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Alert, 0, len(w.on))
	for _, a := range w.on {
		all = append(all, a)
	}
	order := map[string]int{}
	for i, r := range Rules() {
		order[r.Name] = i
	}
	slices.SortFunc(all, func(a, b Alert) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(order[a.Rule], order[b.Rule]), cmp.Compare(a.Subject, b.Subject))
	})
	return all
}

// Past returns the last alerts that have ended, at most 100, the latest first.
func (w *Watch) Past() []Alert {
	w.mu.Lock()
	defer w.mu.Unlock()
	past := slices.Clone(w.past)
	slices.Reverse(past)
	return past
}

// Look judges the facts once, tells log, metrics and targets what has changed, and returns it.
func (w *Watch) Look(ctx context.Context) []Change {
	facts := w.o.Facts(ctx)
	facts.Now = w.o.Now()
	changes := w.changes(Judge(w.inForce().Limits, facts), facts.unproven(), facts.Now)
	for _, c := range changes {
		w.tell(ctx, c)
	}
	if len(changes) > 0 {
		if err := w.save(); err != nil {
			w.o.Log.Warn("the alerts can't be kept; after a restart they may be told again", zap.Error(err))
		}
	}
	return changes
}

// changes switches alerts on and off by the findings, and returns what it changed. An alert stays
// on while its finding is unproven.
func (w *Watch) changes(findings []Finding, unproven map[string]bool, now time.Time) []Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	var changes []Change
	now = now.UTC()
	still := map[string]bool{}
	for _, f := range findings {
		key := f.Key()
		still[key] = true
		rule, _ := RuleOf(f.Rule)
		if _, ok := w.found[key]; !ok {
			w.found[key] = now
		}
		if a, ok := w.on[key]; ok {
			a.Finding = f // The figures in its text may have changed.
			w.on[key] = a
			continue
		}
		if now.Sub(w.found[key]) < rule.For {
			continue
		}
		a := Alert{Finding: f, Severity: rule.Severity, Since: w.found[key], Runbook: w.settings.Runbooks + "/" + f.Rule}
		w.on[key] = a
		changes = append(changes, Change{Alert: a, On: true})
	}
	for key := range w.found {
		if !still[key] {
			delete(w.found, key)
		}
	}
	for key, a := range w.on {
		if still[key] || unproven[key] {
			continue
		}
		delete(w.on, key)
		a.Ended = now
		w.past = append(w.past, a)
		w.past = w.past[max(len(w.past)-maxPast, 0):]
		changes = append(changes, Change{Alert: a})
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Key(), b.Key()) })
	return changes
}

func (w *Watch) tell(ctx context.Context, c Change) {
	fields := []zap.Field{
		zap.String("alert", c.Rule), zap.String("subject", c.Subject), zap.String("severity", string(c.Severity)),
		zap.Time("since", c.Since), zap.String("runbook", c.Runbook),
	}
	if c.On {
		w.o.Log.Warn("alert: "+c.Text, fields...)
		w.o.Metrics.Alerted(ctx, c.Rule, "on")
	} else {
		w.o.Log.Info("alert is over: "+c.Text, append(fields, zap.Duration("lasted", c.Ended.Sub(c.Since)))...)
		w.o.Metrics.Alerted(ctx, c.Rule, "off")
	}
	for _, t := range w.inForce().Targets {
		go t.deliver(context.WithoutCancel(ctx), c, w.o.Log)
	}
}

// savedState is the content of the file.
type savedState struct {
	On   []Alert `json:"on"`
	Past []Alert `json:"past"`
}

func (w *Watch) load() error {
	if w.o.Path == "" {
		return nil
	}
	text, err := os.ReadFile(w.o.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the alerts: %w", err)
	}
	var k savedState
	if err := json.Unmarshal(text, &k); err != nil {
		w.o.Log.Warn("the file of alerts is damaged; alerts that are on may be told again", zap.String("file", w.o.Path), zap.Error(err))
		return nil
	}
	w.past = k.Past
	for _, a := range k.On {
		w.on[a.Key()], w.found[a.Key()] = a, a.Since
	}
	return nil
}

func (w *Watch) save() error {
	if w.o.Path == "" {
		return nil
	}
	w.mu.Lock()
	k := savedState{Past: w.past}
	for _, a := range w.on {
		k.On = append(k.On, a)
	}
	text, err := json.Marshal(k)
	w.mu.Unlock()
	if err != nil {
		return err
	}
	part := w.o.Path + ".part"
	if err := os.WriteFile(part, text, 0o600); err != nil {
		return err
	}
	return os.Rename(part, w.o.Path)
}
