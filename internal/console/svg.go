package console

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// The size of a plot in its own coordinates. The browser stretches the plot; texts are HTML beside
// it, so that they keep their size.
const (
	plotWidth  = 600.0
	plotHeight = 100.0
)

// Plot is a drawing and the texts around it.
type Plot struct {
	SVG template.HTML
	// Top is the value at the upper edge, Left and Right the times at the ends.
	Top, Left, Right string
	// Empty says that there is nothing to draw.
	Empty bool
}

// plotBar is one bar of stacked parts, from the bottom up.
type plotBar struct {
	parts []barPart
	title string
	href  string
	// gap is set if nothing is known for this time.
	gap bool
	// band is the CSS class of a strip at the upper edge, for the state of that time.
	band string
}

type barPart struct {
	class string
	value float64
	// href is the part's link; if empty, the link of its column is used.
	href string
}

// bandHeight is the height of a band and the space below it.
const bandHeight = 22.0

// barPlot draws stacked bars.
func barPlot(label string, all []plotBar) Plot {
	top, highest, known := 0.0, plotHeight, false
	for _, b := range all {
		sum := 0.0
		for _, p := range b.parts {
			sum += p.value
		}
		top = max(top, sum)
		if b.band != "" {
			highest, known = plotHeight-bandHeight, true
		}
	}
	plot := Plot{Empty: top == 0 && !known, Top: numberText(niceTop(top))}
	top = max(niceTop(top), 1)
	width := plotWidth / float64(max(len(all), 1))
	var s strings.Builder
	openSVG(&s, label)
	through := shapes{}
	for i, b := range all {
		x := float64(i) * width
		if b.gap {
			through.add("gap", x, 0, width, plotHeight)
			rect(&s, mark{class: "column", title: b.title, x: x, width: width, height: plotHeight})
		} else if b.title != "" {
			// The column's title and link cover its whole height, so that they can be hit above a
			// low bar.
			rect(&s, mark{class: "column", title: b.title, href: b.href, x: x, width: width, height: plotHeight})
		}
		if b.band != "" {
			through.add(b.band, x, 0, width, bandHeight-8)
		}
		y := plotHeight
		for _, p := range b.parts {
			h := p.value / top * highest
			if h <= 0 {
				continue
			}
			h = max(h, 1)
			y -= h
			if p.href == "" {
				through.add(p.class, x+width*.1, y, width*.8, h)
				continue
			}
			rect(&s, mark{class: p.class, title: b.title, href: p.href, x: x + width*.1, y: y, width: width * .8, height: h})
		}
	}
	through.draw(&s)
	s.WriteString("</svg>")
	plot.SVG = template.HTML(s.String()) //nolint:gosec // G203: numbers, our own classes, and text that is escaped in rect.
	return plot
}

// mark is one rectangle of a plot.
type mark struct {
	class, title, href  string
	x, y, width, height float64
}

// rect draws a mark that has a title or a link. The Tab key skips its link: sixty stops would be in
// the way of the rest of the page, and the list's search leads to the same events.
func rect(s *strings.Builder, m mark) {
	shape := fmt.Sprintf(`<rect class="%s" x="%.2f" y="%.2f" width="%.2f" height="%.2f"><title>%s</title></rect>`,
		m.class, m.x, m.y, m.width, m.height, template.HTMLEscapeString(m.title))
	switch {
	case m.href != "":
		fmt.Fprintf(s, `<a href="%s" tabindex="-1">%s</a>`, template.HTMLEscapeString(m.href), shape)
	case m.title != "":
		s.WriteString(shape)
	default: // Without title and link there is nothing to point at.
	}
}

// shapes collects rectangles without title and link, as one path for each CSS class. That is a
// tenth of the elements; the pointer reaches the columns behind them.
type shapes map[string]*strings.Builder

func (all shapes) add(class string, x, y, width, height float64) {
	path := all[class]
	if path == nil {
		path = &strings.Builder{}
		all[class] = path
	}
	fmt.Fprintf(path, "M%.1f %.1fh%.1fv%.1fh-%.1fz", x, y, width, height, width)
}

func (all shapes) draw(s *strings.Builder) {
	for _, class := range sortedKeys(all) {
		fmt.Fprintf(s, `<path class="%s in" d="%s"/>`, class, all[class])
	}
}

// plotLine is one line of a plot.
type plotLine struct {
	class  string
	points []series.Point
}

// column is a vertical strip of a plot of lines, with a title and a link.
type column struct{ title, href string }

// curve is a plot of lines over time.
type curve struct {
	label string
	// limit is drawn as a horizontal line; 0 is none.
	limit float64
	// show writes a value as text.
	show  func(float64) string
	lines []plotLine
	// columns share the width of the plot.
	columns []column
}

// plot draws the lines, broken where nothing is known.
func (c curve) plot() Plot {
	top := c.limit * 1.2
	known := false
	for _, l := range c.lines {
		for _, p := range l.points {
			if p.Known {
				known, top = true, max(top, p.Value)
			}
		}
	}
	plot := Plot{Empty: !known, Top: c.show(top)}
	if top == 0 {
		top = 1
	}
	var s strings.Builder
	openSVG(&s, c.label)
	width := plotWidth / float64(max(len(c.columns), 1))
	for i, col := range c.columns {
		rect(&s, mark{class: "column", title: col.title, href: col.href, x: float64(i) * width, width: width, height: plotHeight})
	}
	y := func(v float64) float64 { return plotHeight - v/top*(plotHeight-4) - 2 }
	if c.limit > 0 {
		fmt.Fprintf(&s, `<line class="limit" x1="0" x2="%g" y1="%.2f" y2="%.2f"/>`, plotWidth, y(c.limit), y(c.limit))
	}
	for _, l := range c.lines {
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
				path.WriteString("h3") // A single point would be invisible.
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

// niceTop rounds up to 1, 2, 3, 5 or 10 times a power of ten.
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

// binPoints joins points into about n bins: by their sum, or if level is set by their largest
// value.
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

// span labels the ends of the time axis: the first point, and now.
func (p Plot) span(points []series.Point, now time.Time) Plot {
	if len(points) > 0 {
		p.Left, p.Right = clockText(points[0].Time, now), "now"
	}
	return p
}
