package app

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/console"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// watch measures at intervals what single events do not tell: how many dead letters are open,
// whether a worker polls, how full the spool is. It feeds the series, the gauges and the alerts.
type watch struct {
	p       *process
	file    *reloader
	counter *eventlog.Counter
	alerts  *alert.Watch
	now     func() time.Time

	mu       sync.Mutex
	lastPoll time.Time
	// queues is how many workers poll the task queue of each activity or workflow destination.
	queues map[string]int
}

// watchEvery is the interval of the watch.
const watchEvery = 15 * time.Second

// newWatch makes the watch, and registers its gauges.
func (p *process) newWatch(file *reloader, log *eventlog.Log, now func() time.Time) (*watch, error) {
	w := &watch{p: p, file: file, counter: eventlog.NewCounter(log, now), now: now}
	path := ""
	if p.env.DataDir != "" {
		path = filepath.Join(p.env.DataDir, "alerts.json")
	}
	settings, err := p.alertSettings(p.config)
	if err != nil {
		return nil, err
	}
	w.alerts, err = alert.New(alert.Options{Facts: w.facts, Path: path, Metrics: p.observer.metrics, Log: p.log, Now: now}, settings)
	if err != nil {
		return nil, err
	}
	p.alerts = w.alerts
	return w, w.gauges()
}

// alertSettings is the alerts' part of a configuration.
func (p *process) alertSettings(c *config.Config) (alert.Settings, error) {
	targets, err := targetsOf(c)
	return alert.Settings{Limits: c.Alerts.Limits(), Runbooks: p.pageURL(c) + "/runbooks", Targets: targets}, err
}

// pageURL is the address of the operations page, for messages to people.
func (p *process) pageURL(c *config.Config) string {
	if c.Alerts.Page != "" {
		return strings.TrimSuffix(c.Alerts.Page, "/")
	}
	host, port, err := net.SplitHostPort(p.env.AdminListen)
	if err != nil || host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// keepSeries keeps the series in a file, if there is a data directory.
func (p *process) keepSeries(which Parts) error {
	if p.env.DataDir == "" {
		return nil
	}
	if err := os.MkdirAll(p.env.DataDir, 0o700); err != nil {
		return err
	}
	name := "series.jsonl"
	switch {
	case which.Receiver && !which.Worker:
		name = "series-starter.jsonl"
	case which.Worker && !which.Receiver:
		name = "series-worker.jsonl"
	}
	return p.observer.flow.Series().Keep(filepath.Join(p.env.DataDir, name))
}

// part makes the part that runs the watch and keeps the series until the process ends.
func (w *watch) part() part {
	return part{name: "watch", run: func(ctx context.Context) error {
		kept := make(chan struct{})
		go func() {
			defer close(kept)
			w.p.observer.flow.Series().Run(ctx, func(err error) { w.p.log.Warn("the series can't be kept", zap.Error(err)) })
		}()
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		w.look(ctx)
		for {
			select {
			case <-ctx.Done():
				<-kept
				return nil
			case <-tick.C:
				w.look(ctx)
			}
		}
	}}
}

func (w *watch) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	set := w.p.observer.flow.Series()
	census := w.counter.Count(ctx)
	if census.Fault == "" && !census.At.IsZero() {
		set.Level(series.DeadLetters, float64(census.Count))
		set.Most(series.DeadAge, w.age(census.OldestDeath()))
		set.Level(series.Running, float64(census.Unsettled))
		set.Most(series.RunningAge, w.age(census.Oldest))
	}
	for _, d := range w.p.destinationStates() {
		w.p.observer.flow.Shut(d.Name, map[string]int{"trying": series.ShutTrying, "open": series.ShutOpen, "paused": series.ShutPaused}[d.State])
	}
	if w.p.spool != nil {
		s := w.p.spool.Stats()
		set.Most(series.Spool, float64(s.Depth))
		set.Most(series.SpoolAge, s.OldestAge.Seconds())
	}
	w.poll(ctx)
	w.pollDestinations(ctx)
	w.alerts.Look(ctx)
}

// age is how long ago a time was, in seconds; zero for none.
func (w *watch) age(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(w.now().Sub(t).Seconds(), 0)
}

// poll asks Temporal when a worker last asked for work.
func (w *watch) poll(ctx context.Context) {
	d, err := w.p.client.DescribeTaskQueue(ctx, w.p.env.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		return // Temporal is away, so nothing is known of workers; another alert reports that.
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lastPoll.IsZero() {
		w.lastPoll = w.now() // At the start of the process: give a worker the whole time from now on.
	}
	for _, p := range d.GetPollers() {
		if at := p.GetLastAccessTime().AsTime(); at.After(w.lastPoll) {
			w.lastPoll = at
		}
	}
}

// pollDestinations asks Temporal how many workers poll the task queues of destinations. A
// destination for which Temporal does not answer has no figure.
func (w *watch) pollDestinations(ctx context.Context) {
	queues := map[string]int{}
	for _, d := range w.p.destinations.All() {
		if queue, of := d.Spec.Queue(); queue != "" {
			if n, err := engine.Pollers(ctx, w.p.client, w.p.settings.Namespace, queue, of); err == nil {
				queues[d.Name()] = n
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queues = queues
}

func (w *watch) queueWorkers() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.queues // pollDestinations replaces the map and never writes to it.
}

func (w *watch) polled() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lastPoll
}

// facts collects what the alerts judge.
func (w *watch) facts(context.Context) alert.Facts {
	set, limits := w.p.observer.flow.Series(), alert.Defaults()
	minutes := int(limits.Window / time.Minute)
	f := alert.Facts{LastPoll: w.polled(), Panics: map[string]int{}}
	for _, s := range set.Names(series.Handled) {
		f.Handled += int(set.Total(series.Handled+s, minutes))
	}
	for _, s := range set.Names(series.Died) {
		f.Failed += int(set.Total(series.Died+s, minutes))
	}
	for _, route := range set.Names(series.Attempt + "panic:") {
		if n := int(set.Total(series.Attempt+"panic:"+route, minutes)); n > 0 {
			f.Panics[route] = n
		}
	}
	f.Dead = w.dead(set)
	if w.p.spool != nil {
		s := w.p.spool.Stats()
		f.Spool = &alert.Spool{
			Depth: s.Depth, Bytes: s.Bytes, Max: s.MaxBytes, OldestAge: time.Duration(s.OldestAge), Failed: s.Failed, Cause: s.Cause,
		}
	}
	for _, d := range w.p.destinationStates() {
		_, proven := w.p.observer.proven.Load(d.Name)
		f.Destinations = append(f.Destinations, alert.Destination{
			Name: d.Name, Open: circuitShut(d), Cause: d.Why, Unproven: d.State == "works" && !proven,
		})
	}
	last := w.p.observer.flow.LastEvents()
	for name := range w.file.inForce().Sources {
		hours := set.ByHour(series.Received+name, 7*24+2)
		s := alert.Source{Name: name, Hour: int(set.Total(series.Received+name, 60)), Usual: -1, Last: last[name]}
		if hours[1].Known {
			s.Usual = int(hours[1].Value)
		}
		f.Sources = append(f.Sources, s)
	}
	return f
}

// circuitShut tells whether a circuit breaker keeps events from a destination. A half-open breaker
// still does: otherwise the alert would end and begin again with each test delivery.
func circuitShut(d console.Destination) bool { return d.State == "open" || d.State == "trying" }

// dead collects what the alerts judge of the dead letters; nil if they could not be counted.
func (w *watch) dead(set *series.Set) *alert.Dead {
	census := w.counter.Last()
	if census.At.IsZero() || census.Fault != "" {
		return nil
	}
	d := &alert.Dead{Count: census.Count, Before: -1, Oldest: census.OldestDeath()}
	if past := set.ByMinute(series.DeadLetters, 61); past[0].Known {
		d.Before = int(past[0].Value)
	}
	if groups := eventlog.Groups(census.Rows, eventlog.ByReason); len(groups) > 0 {
		d.Worst = groups[0].Key
	}
	if retention := w.file.inForce().Retention; !d.Oldest.IsZero() && retention > 0 {
		d.Expires = d.Oldest.Add(retention)
	}
	return d
}

// groups calls say for each source and reason of open dead letters.
func (w *watch) groups(say func(row eventlog.Row, count int, oldest time.Time)) {
	type key struct{ source, reason string }
	found := map[key][]eventlog.Row{}
	for _, r := range w.counter.Last().Rows {
		k := key{r.Source, r.Reason}
		found[k] = append(found[k], r)
	}
	for _, rows := range found {
		say(rows[0], len(rows), eventlog.Census{Rows: rows}.OldestDeath())
	}
}

// gauges registers the gauges, which are read at each scrape.
func (w *watch) gauges() error {
	m := w.p.observer.metrics
	unix := func(t time.Time) float64 { return float64(t.Unix()) }
	gauges := map[string]func(say func(float64, ...string)){
		telemetry.MetricOpenDeadLetters: func(say func(float64, ...string)) {
			w.groups(func(r eventlog.Row, n int, _ time.Time) { say(float64(n), r.Source, r.Reason) })
		},
		telemetry.MetricOldestDeadLetter: func(say func(float64, ...string)) {
			w.groups(func(r eventlog.Row, _ int, oldest time.Time) { say(unix(oldest), r.Source, r.Reason) })
		},
		telemetry.MetricCensus: func(say func(float64, ...string)) {
			if c := w.counter.Last(); !c.At.IsZero() {
				say(unix(c.At))
			}
		},
		telemetry.MetricWorkerPoll: func(say func(float64, ...string)) {
			if at := w.polled(); !at.IsZero() {
				say(unix(at))
			}
		},
		telemetry.MetricBreakerOpen: func(say func(float64, ...string)) {
			for _, d := range w.p.destinationStates() {
				say(oneIf(circuitShut(d)), d.Name)
			}
		},
		telemetry.MetricSourcePaused: func(say func(float64, ...string)) {
			for name := range w.file.inForce().Sources {
				_, paused := w.p.pauses.Get(event.PauseSource, name)
				say(oneIf(paused), name)
			}
		},
		telemetry.MetricPaused: func(say func(float64, ...string)) {
			for _, d := range w.p.destinationStates() {
				say(oneIf(d.State == "paused"), d.Name)
			}
		},
		telemetry.MetricQueueWorkers: func(say func(float64, ...string)) {
			for name, n := range w.queueWorkers() {
				say(float64(n), name)
			}
		},
		telemetry.MetricConfig:   func(say func(float64, ...string)) { say(1, w.file.report().Fingerprint) },
		telemetry.MetricReload:   func(say func(float64, ...string)) { say(oneIf(w.file.report().LastFault == "")) },
		telemetry.MetricReloaded: func(say func(float64, ...string)) { say(unix(w.file.report().Loaded)) },
		telemetry.MetricBuild:    func(say func(float64, ...string)) { say(1, Version(), runtime.Version()) },
	}
	for _, name := range slices.Sorted(maps.Keys(gauges)) {
		if err := m.Observe(name, gauges[name]); err != nil {
			return err
		}
	}
	return nil
}

// targetsOf makes the configured targets of alerts.
func targetsOf(c *config.Config) ([]alert.Target, error) {
	var all []alert.Target
	for _, name := range slices.Sorted(maps.Keys(c.Alerts.Targets)) {
		t := c.Alerts.Targets[name]
		d, err := destination.New(t.Spec(name), destination.Deps{})
		if err != nil {
			return nil, fmt.Errorf("alerts.targets.%s: %w", name, err)
		}
		all = append(all, alert.Target{
			Name: name, Format: alert.Format(t.Format), RoutingKey: t.RoutingKey.Reveal(),
			Post: func(ctx context.Context, id string, body []byte) error {
				return d.Deliver(ctx, destination.Delivery{
					Event: event.Event{ID: id, Source: "grapnel", Type: "grapnel.alert", DataContentType: "application/json", Time: time.Now()},
					Body:  body, Attempt: 1,
				})
			},
		})
	}
	return all, nil
}
