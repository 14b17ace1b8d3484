package alert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Limits are the thresholds of the rules. A limit of zero switches its rule off, except MinEvents.
type Limits struct {
	// FailureShare is the part, 0 to 1, of the events settled within Window that may fail. It
	// counts only if more than MinEvents were settled.
	FailureShare float64
	MinEvents    int
	Window       time.Duration
	// DeadLetterGrowth is how many more dead letters there may be than an hour ago.
	DeadLetterGrowth int
	// DeadLetterAge is how long a dead letter may wait.
	DeadLetterAge time.Duration
	// Expiry is how long before the end of its retention a dead letter is a finding.
	Expiry time.Duration
	// SpoolAge is how long an event may wait on disk, SpoolFull the part of the spool, 0 to 1, that
	// may be used.
	SpoolAge  time.Duration
	SpoolFull float64
	// Poll is how long no worker may have polled.
	Poll time.Duration
	// Usual is how many events a source must have sent in the same hour last week for its silence
	// to be a finding.
	Usual int
	// Panics is how many panics of a handler within Window are a finding.
	Panics int
}

// Defaults are the limits where the configuration sets none.
func Defaults() Limits {
	return Limits{
		FailureShare: 0.1, MinEvents: 10, Window: 15 * time.Minute,
		DeadLetterGrowth: 10, DeadLetterAge: 24 * time.Hour, Expiry: 72 * time.Hour,
		SpoolAge: 5 * time.Minute, SpoolFull: 0.8, Poll: 3 * time.Minute, Usual: 20, Panics: 1,
	}
}

// Facts are what the rules judge. A fact that is not known is left out, and leads to no finding.
type Facts struct {
	Now time.Time
	// Handled and Failed are the events settled within the window.
	Handled, Failed int
	// Dead are the open dead letters; nil when they could not be counted.
	Dead *Dead
	// Destinations are those that get no events now, or may get none.
	Destinations []Destination
	// Spool is the disk queue; nil without one.
	Spool *Spool
	// LastPoll is when a worker last polled Temporal; zero when that is not known.
	LastPoll time.Time
	// Sources are the senders.
	Sources []Source
	// Panics counts panics within the window by route.
	Panics map[string]int
}

// Dead describes the open dead letters.
type Dead struct {
	Count int
	// Before is how many there were an hour ago; negative when that is not known.
	Before int
	// Oldest is when the oldest became a dead letter; zero if there is none.
	Oldest time.Time
	// Expires is when Temporal deletes the first of them; zero when never.
	Expires time.Time
	// Worst names the largest group, for example "crm: 503 Service Unavailable".
	Worst string
}

// Destination is the state of a destination's circuit breaker.
type Destination struct {
	Name string
	// Open is set while its breaker is open; Cause says why.
	Open  bool
	Cause string
	// Unproven is set if no delivery has succeeded or failed since the process began: a breaker
	// that was open before may still be.
	Unproven bool
}

// Spool is the state of the disk queue.
type Spool struct {
	Depth      int
	Bytes, Max int64
	OldestAge  time.Duration
	Failed     bool
	Cause      string
}

// Source tells how much a source has sent.
type Source struct {
	Name string
	// Hour is the number of events in the last hour, Usual that of the same hour last week; they
	// are negative when not known.
	Hour, Usual int
	Last        time.Time
}

// unproven returns the keys of findings of which it is not known yet whether they hold.
func (f Facts) unproven() map[string]bool {
	keys := map[string]bool{}
	for _, d := range f.Destinations {
		keys[Finding{Rule: CircuitOpen, Subject: d.Name}.Key()] = d.Unproven
	}
	return keys
}

// Finding is a rule that was broken, about one subject.
type Finding struct {
	Rule string `json:"alert"`
	// Subject is the destination, source or route; empty for rules about the whole process.
	Subject string `json:"subject,omitempty"`
	// Text describes the finding in one sentence.
	Text string `json:"text"`
}

// Key identifies the alert of a finding: two findings with the same key are one alert.
func (f Finding) Key() string { return strings.TrimSuffix(f.Rule+":"+f.Subject, ":") }

// Judge returns the findings: the rules that the facts break.
func Judge(l Limits, f Facts) []Finding {
	var found []Finding
	found = append(found, l.spool(f)...)
	if !f.LastPoll.IsZero() && l.Poll > 0 && f.Now.Sub(f.LastPoll) > l.Poll {
		found = append(found, Finding{Rule: NoWorker, Text: "no worker has asked for work for " + Ago(f.Now.Sub(f.LastPoll))})
	}
	if all := f.Handled + f.Failed; l.FailureShare > 0 && all > l.MinEvents && float64(f.Failed) > l.FailureShare*float64(all) {
		found = append(found, Finding{Rule: EventsFail, Text: fmt.Sprintf("%d of the %d events of the last %s failed (%.0f %%)",
			f.Failed, all, Ago(l.Window), 100*float64(f.Failed)/float64(all))})
	}
	found = append(found, l.routes(f)...)
	found = append(found, l.dead(f)...)
	for _, s := range f.Sources {
		if l.Usual > 0 && s.Hour == 0 && s.Usual >= l.Usual {
			found = append(found, Finding{Rule: SourceSilent, Subject: s.Name, Text: fmt.Sprintf(
				"%s has sent nothing for an hour, in which it sent %d events last week", s.Name, s.Usual)})
		}
	}
	return found
}

func (l Limits) routes(f Facts) []Finding {
	var found []Finding
	for _, d := range f.Destinations {
		if d.Open {
			found = append(found, Finding{Rule: CircuitOpen, Subject: d.Name, Text: strings.TrimSuffix(d.Name+" gets no events for now: "+d.Cause, ": ")})
		}
	}
	for _, route := range slices.Sorted(maps.Keys(f.Panics)) {
		if n := f.Panics[route]; l.Panics > 0 && n >= l.Panics {
			found = append(found, Finding{Rule: HandlerPanics, Subject: route, Text: fmt.Sprintf("%s has panicked %d times in the last %s", route, n, Ago(l.Window))})
		}
	}
	return found
}

func (l Limits) spool(f Facts) []Finding {
	s := f.Spool
	if s == nil {
		return nil
	}
	var found []Finding
	used := float64(s.Bytes) / float64(max(s.Max, 1))
	switch {
	case s.Failed:
		found = append(found, Finding{Rule: SpoolNearlyFull, Text: "the spool's disk fails: " + s.Cause})
	case l.SpoolFull > 0 && used > l.SpoolFull:
		found = append(found, Finding{Rule: SpoolNearlyFull, Text: fmt.Sprintf("the spool is %.0f %% full, %d events wait in it", 100*used, s.Depth)})
	}
	if l.SpoolAge > 0 && s.OldestAge > l.SpoolAge {
		found = append(found, Finding{Rule: SpoolStuck, Text: fmt.Sprintf("%d events wait on disk, the oldest for %s", s.Depth, Ago(s.OldestAge))})
	}
	return found
}

func (l Limits) dead(f Facts) []Finding {
	d := f.Dead
	if d == nil || d.Count == 0 {
		return nil
	}
	var found []Finding
	worst := ""
	if d.Worst != "" {
		worst = "; most of them: " + d.Worst
	}
	if l.DeadLetterGrowth > 0 && d.Before >= 0 && d.Count-d.Before > l.DeadLetterGrowth {
		found = append(found, Finding{Rule: DeadLettersGrow, Text: fmt.Sprintf("%d dead letters, %d more than an hour ago%s", d.Count, d.Count-d.Before, worst)})
	}
	if age := f.Now.Sub(d.Oldest); l.DeadLetterAge > 0 && !d.Oldest.IsZero() && age > l.DeadLetterAge {
		found = append(found, Finding{Rule: OldDeadLetter, Text: "the oldest dead letter has waited for " + Ago(age) + worst})
	}
	if !d.Expires.IsZero() && l.Expiry > 0 && d.Expires.Sub(f.Now) < l.Expiry {
		found = append(found, Finding{Rule: DeadLetterExpires, Text: "Temporal deletes a dead letter in " + Ago(d.Expires.Sub(f.Now)) + worst})
	}
	return found
}

// Ago writes a duration in its largest unit or two: 59s, 3m, 2h5m, 4d2h. A negative one is 0s.
func Ago(d time.Duration) string {
	const day = 24 * time.Hour
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < day:
		return strings.TrimSuffix(fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute), "h0m") + hourOnly(d)
	default:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	}
}

func hourOnly(d time.Duration) string {
	if d%time.Hour/time.Minute == 0 {
		return "h"
	}
	return ""
}
