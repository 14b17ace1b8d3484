package console

import (
	"slices"

	"github.com/grapnel/grapnel/internal/alert"
)

// note is a trouble that no alert reports.
type note struct {
	Text, Why string
	// Href is the link to where it shows, Do the link's text.
	Href, Do string
}

// notes are the troubles that the active alerts do not report: open dead letters, destinations that
// are paused or fail, sources that are paused, events on disk, and a Temporal that does not answer.
func (c *Console) notes(on []alert.Alert) []note {
	alerted := func(subject string, rules ...string) bool {
		return slices.ContainsFunc(on, func(a alert.Alert) bool { return slices.Contains(rules, a.Rule) && a.Subject == subject })
	}
	all := append(c.deadNotes(alerted), c.destinationNotes(alerted)...)
	for _, s := range c.sourceList() {
		if !s.Paused.IsZero() {
			all = append(all, note{
				"Source " + s.Name + " has been paused for " + alert.Ago(c.Now().Sub(s.Paused)) + ".", s.Why, "/sources#" + s.Name, "Look at " + s.Name,
			})
		}
	}
	if n := c.onDisk(); n > 0 && !alerted("", alert.SpoolStuck, alert.SpoolNearlyFull) {
		text := "1 event waits on disk for Temporal."
		if n > 1 {
			text = numberOf(n) + " events wait on disk for Temporal."
		}
		all = append(all, note{text, "", "/configuration", "Look at the parts"})
	}
	return all
}

// deadNotes are the notes about dead letters.
func (c *Console) deadNotes(alerted func(subject string, rules ...string) bool) (all []note) {
	if c.Letters == nil {
		return nil
	}
	dead := c.Letters()
	if dead.Fault != "" {
		all = append(all, note{"Temporal can't be asked now.", dead.Fault, "/configuration", "Look at the parts"})
	}
	if dead.Count > 0 && !alerted("", alert.DeadLettersGrow, alert.OldDeadLetter) {
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

// destinationNotes are the notes about destinations that get no events now.
func (c *Console) destinationNotes(alerted func(subject string, rules ...string) bool) (all []note) {
	if c.Destinations == nil {
		return nil
	}
	for _, d := range c.Destinations() {
		at := note{Why: d.Why, Href: "/destinations#" + d.Name, Do: "Look at " + d.Name}
		switch {
		case d.State == "paused":
			at.Text = d.Name + " has been paused for " + alert.Ago(c.Now().Sub(d.Since)) + "."
		case d.State == "open" && !alerted(d.Name, alert.CircuitOpen):
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

// onDisk is how many events wait on this process's disk now.
func (c *Console) onDisk() int {
	if c.OnDisk == nil {
		return 0
	}
	return c.OnDisk()
}
