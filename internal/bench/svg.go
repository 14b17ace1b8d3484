package bench

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// The chart's measures in pixels.
const (
	chartWidth = 720
	labelWidth = 220
	barHeight  = 22
	barGap     = 10
	barMost    = chartWidth - labelWidth - 150
)

// SVG draws the rates as bars.
func (r *Report) SVG(w io.Writer) error {
	rates, most := r.rates(), 0.0
	for _, line := range rates {
		most = max(most, line.series.Median)
	}
	height := 60 + len(rates)*(barHeight+barGap)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n",
		chartWidth, height)
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	text := func(x, y int, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
	}
	text(10, 20, "start", "Events per second, median of the rounds, and against bare starts")
	text(10, 38, "start", r.Engine)
	for i, line := range rates {
		y := 52 + i*(barHeight+barGap)
		width := 0
		if most > 0 {
			width = max(1, int(line.series.Median/most*barMost))
		}
		text(labelWidth-8, y+16, "end", line.name)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="#3b6ea5"/>`+"\n", labelWidth, y, width, barHeight)
		text(labelWidth+width+8, y+16, "start", fmt.Sprintf("%.0f (%.2f×)", line.series.Median, line.series.Ratio(r.Bare)))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err //nolint:wrapcheck // The caller's own writer.
}
