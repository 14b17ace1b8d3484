package console

import (
	"fmt"
	"slices"

	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// note is something that is not as it should be, though it is no alert.
type note struct {
	Text, Why string
	// Href is where to look at it, Do what that is called.
	Href, Do string
}

// notes are what keeps all from being well, besides what the alerts say: dead letters
// that are open, destinations and sources that are paused or left alone, events on disk, and a
// Temporal that can't be asked.
func (c *Console) notes(on []alert.Alert) []note {
	said := func(subject string, rules ...string) bool {
		return slices.ContainsFunc(on, func(a alert.Alert) bool { return slices.Contains(rules, a.Rule) && a.Subject == subject })
	}
	all := append(c.deadNotes(said), c.destinationNotes(said)...)
	for _, s := range c.sourceList() {
		if !s.Paused.IsZero() {
			all = append(all, note{
				"Source " + s.Name + " has been paused for " + alert.Ago(c.Now().Sub(s.Paused)) + ".", s.Why, "/sources#" + s.Name, "Look at " + s.Name,
			})
		}
	}
	if n := c.onDisk(); n > 0 && !said("", alert.SpoolStuck, alert.SpoolNearlyFull) {
		all = append(all, note{fmt.Sprintf("%s events wait on disk for Temporal.", numberText(n)), "", "/configuration", "Look at the parts"})
	}
	return all
}

// deadNotes are what the count of dead letters tells, where no alert says it.
func (c *Console) deadNotes(said func(subject string, rules ...string) bool) (all []note) {
	if c.Letters == nil {
		return nil
	}
	dead := c.Letters()
	if dead.Fault != "" {
		all = append(all, note{"Temporal can't be asked now.", dead.Fault, "/configuration", "Look at the parts"})
	}
	if dead.Count > 0 && !said("", alert.DeadLettersGrow, alert.OldDeadLetter) {
		text, many := "1 dead letter waits", dead.Count > 1
		if many {
			text = numberOf(dead.Count) + " dead letters wait"
		}
		if oldest := dead.OldestDeath(); !oldest.IsZero() && many {
			text += ", the oldest for " + alert.Ago(c.Now().Sub(oldest))
		}
		all = append(all, note{text + ".", "", "/dead-letters", "Look at the dead letters"})
	}
	return all
}

// destinationNotes are the destinations that get nothing now, where no alert says it.
func (c *Console) destinationNotes(said func(subject string, rules ...string) bool) (all []note) {
	if c.Destinations == nil {
		return nil
	}
	for _, d := range c.Destinations() {
		at := note{Why: d.Why, Href: "/destinations#" + d.Name, Do: "Look at " + d.Name}
		switch {
		case d.State == "paused":
			at.Text = d.Name + " has been paused for " + alert.Ago(c.Now().Sub(d.Since)) + "."
		case d.State == "open" && !said(d.Name, alert.CircuitOpen):
			at.Text = d.Name + " keeps failing and gets no events for now."
		case d.State == "trying":
			at.Text = d.Name + " has failed for some time and is tried again."
		default:
			continue
		}
		all = append(all, at)
	}
	return all
}

// onDisk is how many events wait on disk.
func (c *Console) onDisk() float64 {
	spool := c.Series.ByMinute(series.Spool, 2)
	return max(spool[0].Value, spool[1].Value)
}
