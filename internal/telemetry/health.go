package telemetry

import "time"

// EventOutcome is what became of one event.
type EventOutcome int

// The outcomes of an event.
const (
	// Processed is an event that all routes have handled.
	Processed EventOutcome = iota
	// Failed is an event that a route has failed to handle after all attempts.
	Failed
	// Duplicate is an event that was seen before.
	Duplicate
)

// Tally counts events since the process began. Its zero value is empty.
type Tally struct {
	Received, Processed, Failed, Duplicates int64
	// Took is the time that all processed and failed events took together.
	Took time.Duration
	// Last is when the last of them ended; zero before the first.
	Last time.Time
}

// Settle counts the outcome of one event and returns the new tally. For a duplicate took is not
// used, because nothing was processed.
func (t Tally) Settle(o EventOutcome, took time.Duration, now time.Time) Tally {
	switch o {
	case Duplicate:
		t.Duplicates++
		return t
	case Failed:
		t.Failed++
	case Processed:
		t.Processed++
	}
	t.Took += max(took, 0)
	t.Last = now
	return t
}

// Health is a Tally as the statistics show it.
type Health struct {
	TotalReceived         int64 `json:"totalReceived"`
	SuccessfullyProcessed int64 `json:"successfullyProcessed"`
	Failed                int64 `json:"failed"`
	Duplicates            int64 `json:"duplicates"`
	// LastProcessedAt is null before the first event.
	LastProcessedAt *time.Time `json:"lastProcessedAt"`
	// AverageProcessingTime is in milliseconds, over processed and failed events.
	AverageProcessingTime float64 `json:"averageProcessingTime"`
	// SuccessRate and FailureRate are parts of the received events, 0 to 1.
	SuccessRate float64 `json:"successRate"`
	FailureRate float64 `json:"failureRate"`
}

// Health computes the figures. The rates are parts of TotalReceived. A process may have settled
// more events than it received, from another process or from before its start; the rates are parts
// of the settled ones then, so that none is over 1.
func (t Tally) Health() Health {
	h := Health{
		TotalReceived: t.Received, SuccessfullyProcessed: t.Processed, Failed: t.Failed, Duplicates: t.Duplicates,
	}
	if !t.Last.IsZero() {
		last := t.Last.UTC()
		h.LastProcessedAt = &last
	}
	ended := t.Processed + t.Failed
	if ended > 0 {
		h.AverageProcessingTime = float64(t.Took) / float64(time.Millisecond) / float64(ended)
	}
	if whole := max(t.Received, ended); whole > 0 {
		h.SuccessRate = float64(t.Processed) / float64(whole)
		h.FailureRate = float64(t.Failed) / float64(whole)
	}
	return h
}

// The alarm goes on when more than alarmRate of the latest events failed, if they are more than
// alarmAfter.
const (
	alarmRate  = 0.1
	alarmAfter = 10
	// alarmWindow is how many of the latest events the alarm looks at. Over the whole life of a
	// process, the successes of last week would hide new failures.
	alarmWindow = 1000
)

// Alarm watches the outcomes of the latest events. Its zero value is an alarm that is off.
type Alarm struct {
	ring   [alarmWindow]EventOutcome
	next   int
	count  int
	failed int
	on     bool
}

// Change is what an outcome did to an alarm.
type Change int

// The changes of an alarm.
const (
	// Unchanged means that the alarm stays on or off.
	Unchanged Change = iota
	// Raised means that the alarm has gone on.
	Raised
	// Cleared means that the alarm has gone off.
	Cleared
)

// Observe adds one outcome and tells what it changed.
func (a *Alarm) Observe(o EventOutcome) Change {
	if a.count == alarmWindow {
		if a.ring[a.next] == Failed {
			a.failed--
		}
	} else {
		a.count++
	}
	a.ring[a.next] = o
	a.next = (a.next + 1) % alarmWindow
	if o == Failed {
		a.failed++
	}
	before := a.on
	a.on = a.count > alarmAfter && a.Rate() > alarmRate
	switch {
	case a.on == before:
		return Unchanged
	case a.on:
		return Raised
	default:
		return Cleared
	}
}

// Rate is the part of the latest events that failed, 0 to 1.
func (a *Alarm) Rate() float64 {
	if a.count == 0 {
		return 0
	}
	return float64(a.failed) / float64(a.count)
}
