package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/starter"
)

// observer turns what happens to events into log lines, metrics, figures and the
// list of refusals.
type observer struct {
	log        *zap.Logger
	metrics    *telemetry.Metrics
	stats      *telemetry.Stats
	rejections *admin.Rejections
}

func newObserver(c *config.Config, log *zap.Logger) (*observer, error) {
	m, err := telemetry.NewMetrics(labels(c), log)
	if err != nil {
		return nil, err
	}
	return &observer{
		log: log, metrics: m, stats: telemetry.NewStats(log, nil), rejections: admin.NewRejections(admin.Bounds{}),
	}, nil
}

// labels are the sources: whatever else comes in is counted as other.
func labels(c *config.Config) telemetry.Labels {
	return telemetry.Labels{Sources: slices.Sorted(maps.Keys(c.Sources))}
}

// Answered implements starter.Observer.
func (o *observer) Answered(a starter.Answer) {
	o.metrics.Received(a.Source, a.Outcome)
	if a.Refused {
		o.rejections.Add(rejection(a))
		return
	}
	switch starter.Outcome(a.Outcome) {
	case starter.Started, starter.Replayed, starter.Queued:
		o.stats.Received()
		o.metrics.Started(a.Source, a.Outcome, a.Took)
	case starter.Duplicate:
		o.stats.Received()
		o.stats.Duplicate()
	case starter.Abandoned:
		o.stats.Received()
		o.stats.Duplicate()
		o.metrics.Abandoned(a.Source)
	case starter.Ignored:
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
func (o *observer) Handled(e event.Event, took time.Duration) {
	o.stats.Processed(took)
	o.metrics.Processed(e.Source, e.Type, took)
	o.log.Info("event handled", append(about(e), zap.Duration("took", took))...)
}

// Died implements worker.Observer.
func (o *observer) Died(e event.Event, letter event.Letter) {
	took := time.Since(e.Received)
	o.stats.Failed(took)
	o.metrics.Failed(e.Source, e.Type, took)
	why := make([]string, 0, len(letter.Failures))
	for _, f := range letter.Failures {
		o.metrics.DeadLetter(e.Source, f.Type)
		if f.Route == "" {
			why = append(why, f.Message)
			continue
		}
		why = append(why, fmt.Sprintf("%s: %s (attempts: %d)", f.Route, f.Message, f.Attempts))
	}
	o.log.Warn("event is a dead letter", append(about(e), zap.Strings("failures", why))...)
}

// Replayed implements worker.Observer.
func (o *observer) Replayed(e event.Event) {
	o.metrics.Replayed(e.Source)
	o.log.Info("dead letter is replayed", about(e)...)
}

func about(e event.Event) []zap.Field {
	return []zap.Field{
		zap.String("source", e.Source), zap.String("type", event.Attribute(e.Type)), zap.String("event", e.ID),
	}
}

// close ends the collecting of metrics.
func (o *observer) close(ctx context.Context) error { return o.metrics.Shutdown(ctx) }
