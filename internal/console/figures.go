package console

import (
	"context"
	"slices"

	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// figures are the measurements over time of this process or of all processes.
type figures interface {
	// ByMinute returns points that cover the n latest minutes; a point may cover several.
	ByMinute(name string, n int) []series.Point
	Quantile(name string, q float64, n int) []series.Point
	Names(prefix string) []string
	// Source tells when a source last sent and how much. Tries counts deliveries by the attempts
	// that they took.
	Source(name string) series.Heard
	Tries(n int) []series.Tried
}

// figuresOwner tells whose figures a page shows.
type figuresOwner struct {
	// All is set if they are of all processes. Fault says why they are not although a Prometheus
	// is configured.
	All   bool
	Fault string
}

// figures returns the figures of all processes, or if Prometheus has none, those of this process.
func (c *Console) figures(ctx context.Context, minutes int) (figures, figuresOwner) {
	if c.Fleet == nil {
		return c.Series, figuresOwner{}
	}
	all, err := c.Fleet.Figures(ctx, minutes)
	switch {
	case err != nil:
		return c.Series, figuresOwner{Fault: err.Error()}
	case all == nil:
		return c.Series, figuresOwner{}
	default:
		return all, figuresOwner{All: true}
	}
}

// sumOf adds up all series whose names begin with a prefix.
func sumOf(from figures, prefix string, minutes int) []series.Point {
	all := [][]series.Point{from.ByMinute(prefix, minutes)}
	for _, name := range from.Names(prefix) {
		all = append(all, from.ByMinute(prefix+name, minutes))
	}
	return addSeries(all...)
}

// heard tells when a source last sent and how much. s.Last, which this process knows, may be later
// than the last point of the series.
func heard(from figures, s Source) series.Heard {
	h := from.Source(s.Name)
	if s.Last.After(h.Last) {
		h.Last = s.Last
	}
	return h
}

// latestValue is the last known value, 0 if there is none.
func latestValue(points []series.Point) float64 {
	for _, p := range slices.Backward(points) {
		if p.Known {
			return p.Value
		}
	}
	return 0
}
