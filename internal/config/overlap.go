package config

import (
	"fmt"
	"slices"

	"github.com/grapnel/grapnel/internal/destination"
)

// maxHistory is the most that one event's bodies may fill of a workflow's
// history, in bytes: Temporal ends a workflow whose history passes 50 MB, and
// the rest is for results and errors.
const maxHistory Size = 32 << 20

// history checks that the bodies of one event, one for the start, one for each
// destination that may take it, and one for the dead letter, fit a history.
func (c *Config) history() {
	for _, name := range sortedKeys(c.Sources) {
		s, path := c.Sources[name], join("sources", name)
		n := c.mostDestinations(name)
		room := Size(n+2) * s.MaxBody
		if room < maxHistory || c.read.broken(path) {
			continue
		}
		c.read.fault(join(path, "max_body"), fmt.Sprintf("an event of %s that up to %d destinations take would fill %s of its "+
			"history, which must stay below %s; lower max_body or narrow the destinations' events", s.MaxBody, n, room, maxHistory))
	}
}

// mostDestinations is an upper bound of how many destinations one event of a
// source can go to: for each that takes the source, those that share events
// with it.
func (c *Config) mostDestinations(source string) int {
	var taking []*destination.Spec
	for _, d := range c.Destinations {
		if slices.ContainsFunc(d.Events, func(p string) bool { return overlap(p, source+"/*") }) {
			taking = append(taking, d)
		}
	}
	most := 0
	for _, d := range taking {
		n := 0
		for _, other := range taking {
			if d == other || share(d.Events, other.Events) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func share(a, b []string) bool {
	return slices.ContainsFunc(a, func(p string) bool {
		return slices.ContainsFunc(b, func(q string) bool { return overlap(p, q) })
	})
}

// overlap tells whether some text is of both patterns, in which * stands for
// any text.
func overlap(a, b string) bool {
	// row[j] tells whether the rest of a from i and that of b from j overlap, next
	// is the row of i+1. The last place of both stays false, beyond the end of b.
	row, next := make([]bool, len(b)+2), make([]bool, len(b)+2)
	for i := len(a); i >= 0; i-- {
		row, next = next, row
		for j := len(b); j >= 0; j-- {
			inA, inB := i < len(a), j < len(b)
			switch {
			case inA && a[i] == '*', inB && b[j] == '*':
				row[j] = next[j] || row[j+1]
			case inA && inB:
				row[j] = a[i] == b[j] && next[j+1]
			default:
				row[j] = !inA && !inB
			}
		}
	}
	return row[0]
}
