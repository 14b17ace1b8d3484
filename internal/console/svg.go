package console

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// The size of a plot's own coordinates. It is stretched to its place; texts stand
// beside it in HTML, so that they keep their size.
const (
	plotWidth  = 600.0
	plotHeight = 100.0
)

// Plot is a drawing with what stands around it.
type Plot struct {
	SVG template.HTML
	// Top is the value at the upper edge, Left and Right the times at the ends.
	Top, Left, Right string
	// Empty says that there is nothing to draw, and Label what is drawn, for those
	// who hear the page.
	Empty bool
	Label string
}

// plotBar is one bar of stacked parts, from the bottom up.
type plotBar struct {
	parts []barPart
	title string
	href  string
	// gap is set where nothing is known.
	gap bool
}

type barPart struct {
	class string
	value float64
}

// barPlot draws stacked bars.
func barPlot(label string, all []plotBar) Plot {
	top := 0.0
	for _, b := range all {
		sum := 0.0
		for _, p := range b.parts {
			sum += p.value
		}
		top = max(top, sum)
	}
	plot := Plot{Label: label, Empty: top == 0, Top: numberText(niceTop(top))}
	top = max(niceTop(top), 1)
	width := plotWidth / float64(max(len(all), 1))
	var s strings.Builder
	openSVG(&s, label)
	for i, b := range all {
		x := float64(i) * width
		if b.gap {
			fmt.Fprintf(&s, `<rect class="gap" x="%.2f" y="0" width="%.2f" height="%g"><title>%s</title></rect>`,
				x, width, plotHeight, template.HTMLEscapeString(b.title))
			continue
		}
		if b.href != "" {
			// The keyboard leaves them out: sixty stops on the way to the rest of the page,
			// which the search of the list does as well.
			fmt.Fprintf(&s, `<a href="%s" tabindex="-1">`, template.HTMLEscapeString(b.href))
		}
		// The whole column can be pointed at, however low its bar is.
		fmt.Fprintf(&s, `<rect class="column" x="%.2f" y="0" width="%.2f" height="%g"><title>%s</title></rect>`,
			x, width, plotHeight, template.HTMLEscapeString(b.title))
		y := plotHeight
		for _, p := range b.parts {
			h := p.value / top * plotHeight
			if h <= 0 {
				continue
			}
			h = max(h, 1)
			y -= h
			fmt.Fprintf(&s, `<rect class="%s" x="%.2f" y="%.2f" width="%.2f" height="%.2f"/>`, p.class, x+width*.1, y, width*.8, h)
		}
		if b.href != "" {
			s.WriteString("</a>")
		}
	}
	s.WriteString("</svg>")
	plot.SVG = template.HTML(s.String()) //nolint:gosec // G203: numbers, our own classes, and text that is escaped above.
	return plot
}

// plotLine is one line of a plot.
type plotLine struct {
	class  string
	points []series.Point
}

// linePlot draws lines over time, broken where nothing is known, with a limit that
// is drawn across; 0 is none.
func linePlot(label string, limit float64, show func(float64) string, all ...plotLine) Plot {
	top := limit * 1.2
	known := false
	for _, l := range all {
		for _, p := range l.points {
			if p.Known {
				known, top = true, max(top, p.Value)
			}
		}
	}
	plot := Plot{Label: label, Empty: !known, Top: show(top)}
	if top == 0 {
		top = 1
	}
	var s strings.Builder
	openSVG(&s, label)
	y := func(v float64) float64 { return plotHeight - v/top*(plotHeight-4) - 2 }
	if limit > 0 {
		fmt.Fprintf(&s, `<line class="limit" x1="0" x2="%g" y1="%.2f" y2="%.2f"/>`, plotWidth, y(limit), y(limit))
	}
	for _, l := range all {
		n := float64(max(len(l.points)-1, 1))
		var path strings.Builder
		pen := "M"
		for i, p := range l.points {
			if !p.Known {
				pen = "M"
				continue
			}
			x := float64(i) / n * plotWidth
			fmt.Fprintf(&path, "%s%.1f %.2f", pen, x, y(p.Value))
			if next := i + 1; pen == "M" && (next == len(l.points) || !l.points[next].Known) {
				path.WriteString("h3") // A single point would be seen by nobody.
			}
			pen = "L"
		}
		fmt.Fprintf(&s, `<path class="line %s" d="%s"/>`, l.class, path.String())
	}
	s.WriteString("</svg>")
	plot.SVG = template.HTML(s.String()) //nolint:gosec // G203: as above.
	return plot
}

func openSVG(s *strings.Builder, label string) {
	fmt.Fprintf(s, `<svg class="plot" viewBox="0 0 %g %g" preserveAspectRatio="none" role="img" aria-label="%s">`,
		plotWidth, plotHeight, template.HTMLEscapeString(label))
	for _, y := range []float64{0, plotHeight / 2, plotHeight} {
		fmt.Fprintf(s, `<line class="grid" x1="0" x2="%g" y1="%g" y2="%g"/>`, plotWidth, y, y)
	}
}

// niceTop is the next round number.
func niceTop(v float64) float64 {
	if v <= 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 3, 5, 10} {
		if v <= m*unit {
			return m * unit
		}
	}
	return v
}

// binPoints sums points into that many bins; a level becomes its largest value.
func binPoints(points []series.Point, n int, level bool) []series.Point {
	size := max(len(points)/max(n, 1), 1)
	var out []series.Point
	for i := 0; i < len(points); i += size {
		b := series.Point{Time: points[i].Time}
		for _, p := range points[i:min(i+size, len(points))] {
			b.Known = b.Known || p.Known
			if level {
				b.Value = max(b.Value, p.Value)
			} else {
				b.Value += p.Value
			}
		}
		out = append(out, b)
	}
	return out
}

// addSeries adds series up, point by point.
func addSeries(all ...[]series.Point) []series.Point {
	if len(all) == 0 {
		return nil
	}
	out := make([]series.Point, len(all[0]))
	copy(out, all[0])
	for _, points := range all[1:] {
		for i, p := range points {
			out[i].Value += p.Value
			out[i].Known = out[i].Known || p.Known
		}
	}
	return out
}

// span writes the ends of a stretch of time.
func (p Plot) span(points []series.Point, now time.Time) Plot {
	if len(points) > 0 {
		p.Left, p.Right = clockText(points[0].Time, now), "now"
	}
	return p
}
