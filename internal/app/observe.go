package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/internal/telemetry/series"
	"github.com/grapnel/grapnel/internal/tracing"
	"github.com/grapnel/grapnel/starter"
	"github.com/grapnel/grapnel/worker"
)

// observer records what happens to events: in the log, the metrics, the series and the list of
// refusals.
type observer struct {
	log        *zap.Logger
	metrics    *telemetry.Metrics
	stats      *telemetry.Stats
	flow       *telemetry.Flow
	rejections *admin.Rejections
	// failures selects which failed attempts are logged, by route: a destination that is down fails
	// thousands of times a minute.
	failures *telemetry.Sample[string]
	// proven are the routes that have succeeded since the process began.
	proven sync.Map
}

func newObserver(c *config.Config, log *zap.Logger) (*observer, error) {
	m, err := telemetry.NewMetrics(labels(c), log)
	if err != nil {
		return nil, err
	}
	stats := telemetry.NewStats(log, nil)
	flow, err := telemetry.NewFlow(m, stats, series.New(nil), nil)
	if err != nil {
		return nil, err
	}
	o := &observer{
		log: log, metrics: m, stats: stats, flow: flow, rejections: admin.NewRejections(admin.Bounds{}),
		failures: telemetry.NewSample[string](nil),
	}
	o.rejections.Hide(c.Masker())
	return o, nil
}

// labels returns the configured sources as labels; other names of sources are counted as other.
func labels(c *config.Config) telemetry.Labels {
	return telemetry.Labels{Sources: slices.Sorted(maps.Keys(c.Sources))}
}

// Began implements starter.Observer.
func (o *observer) Began() { o.metrics.InFlight(1) }

// Answered implements starter.Observer.
func (o *observer) Answered(a starter.Answer) {
	o.metrics.InFlight(-1)
	if a.Refused {
		o.flow.Refused(a.Source, a.Outcome, a.Took)
		o.rejections.Add(rejection(a))
		return
	}
	switch starter.Acceptance(a.Outcome) {
	case starter.Started, starter.Replayed, starter.Queued:
		o.flow.Received(a.Source, a.Outcome, a.Took)
	case starter.Abandoned:
		o.flow.Repeated(a.Source, a.Outcome, a.Took)
		o.metrics.Abandoned(a.Source)
	case starter.Duplicate, starter.Changed:
		o.flow.Repeated(a.Source, a.Outcome, a.Took)
	default:
		o.flow.Ignored(a.Source, a.Outcome, a.Took)
	}
	if a.Collided {
		o.metrics.Collided(a.Source)
	}
}

func rejection(a starter.Answer) admin.Rejection {
	r := admin.Rejection{
		Time: time.Now().UTC(), Source: a.Source, Client: a.Client, Reason: a.Outcome, Status: a.Status,
		Detail: a.Detail, Method: a.Method, Path: a.Path, Secret: a.Secret, Body: a.Body, BodySize: len(a.Body),
	}
	for name, value := range a.Header {
		r.Headers = append(r.Headers, admin.Header{Name: name, Value: value})
	}
	return r
}

// Handled implements worker.Observer.
func (o *observer) Handled(e event.Event, end worker.End) {
	fields := append(eventFields(e), zap.Duration("took", end.Took))
	switch {
	case end.Ignored:
		o.log.Info("event ignored: no route takes it, and its source says unmatched: ignore", fields...)
	case end.Replayed:
		o.flow.Recovered(e.Source, end.Took)
		o.log.Info("replayed event handled", fields...)
	default:
		o.flow.Handled(e.Source, end.Took)
		o.log.Info("event handled", fields...)
	}
}

// Died implements worker.Observer.
func (o *observer) Died(e event.Event, letter event.Letter) {
	why, reasons := make([]string, 0, len(letter.Failures)), make([]string, 0, len(letter.Failures))
	for _, f := range letter.Failures {
		reasons = append(reasons, f.Type)
		if f.Route == "" {
			why = append(why, f.Message)
			continue
		}
		why = append(why, fmt.Sprintf("%s: %s (attempts: %d)", f.Route, f.Message, f.Attempts))
	}
	if len(letter.Replays) == 0 {
		// An event that dies again after a replay was counted the first time.
		o.flow.Died(e.Source, time.Since(e.Received), reasons...)
	}
	o.log.Warn("event is a dead letter", append(eventFields(e), zap.Strings("failures", why))...)
}

// Attempted implements worker.Observer.
func (o *observer) Attempted(a worker.Attempt) {
	o.flow.Attempted(a.Route, a.Result, a.Number, a.Took)
	if a.Result == "done" {
		o.proven.Store(a.Route, true)
	}
	if !a.Again {
		return // Handled or Died logs what became of the event.
	}
	logIt, left := o.failures.Take(a.Route)
	if !logIt {
		return
	}
	fields := append(eventFields(a.Event), zap.String("route", a.Route), zap.Int("attempt", a.Number), zap.String("result", a.Result),
		zap.Duration("took", a.Took), zap.Error(a.Err))
	if left > 0 {
		fields = append(fields, zap.Int("more like it, not logged", left))
	}
	o.log.Warn("attempt failed", fields...)
}

// Replayed implements worker.Observer.
func (o *observer) Replayed(e event.Event) {
	o.metrics.Replayed(e.Source)
	o.log.Info("dead letter is replayed", eventFields(e)...)
}

func eventFields(e event.Event) []zap.Field {
	fields := []zap.Field{
		zap.String("source", e.Source), zap.String("type", event.Attribute(e.Type)), zap.String("event", e.ID),
	}
	if id := tracing.ID(e); id != "" {
		fields = append(fields, zap.String("trace", id))
	}
	return fields
}

// close stops the metrics.
func (o *observer) close(ctx context.Context) error { return o.metrics.Shutdown(ctx) }
