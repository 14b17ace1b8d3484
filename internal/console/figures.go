package console

import (
	"context"
	"slices"

	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// figures are series over time: of this process, or of all.
type figures interface {
	// ByMinute gives points that cover the n latest minutes; one may be of several.
	ByMinute(name string, n int) []series.Point
	Quantile(name string, q float64, n int) []series.Point
	Names(prefix string) []string
	// Source is what was heard of a source, and Tries how many attempts deliveries took.
	Source(name string) series.Heard
	Tries(n int) []series.Tried
}

// figuresOwner says whose figures a page shows.
type figuresOwner struct {
	// All is set where they are of all processes, Fault says why they are not although a
	// Prometheus is named.
	All   bool
	Fault string
}

// figures gives the series of all processes where they can be had, else our own.
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

// sumOf adds up the series of a prefix.
func sumOf(from figures, prefix string, minutes int) []series.Point {
	all := [][]series.Point{from.ByMinute(prefix, minutes)}
	for _, name := range from.Names(prefix) {
		all = append(all, from.ByMinute(prefix+name, minutes))
	}
	return addSeries(all...)
}

// heard is what was heard of a source; of our own process the source itself knows when
// its last event came in.
func heard(from figures, s Source) series.Heard {
	h := from.Source(s.Name)
	if s.Last.After(h.Last) {
		h.Last = s.Last
	}
	return h
}

// latestValue is the last value that is known.
func latestValue(points []series.Point) float64 {
	for _, p := range slices.Backward(points) {
		if p.Known {
			return p.Value
		}
	}
	return 0
}
