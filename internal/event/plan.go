package event

import (
	"math"
	"time"
)

// Retry says how often a route is tried, and the retry delays in between.
type Retry struct {
	// Attempts is the number of attempts in all, the first one included.
	Attempts int `json:"attempts"`
	// Initial is the retry delay after the first failed attempt.
	Initial time.Duration `json:"initial,omitempty"`
	// Multiplier is the number that the delay is multiplied by after each further one.
	Multiplier float64 `json:"multiplier,omitempty"`
	// Max is the longest delay.
	Max time.Duration `json:"max,omitempty"`
	// Schedule lists the delays one by one, in the place of the three above. The last
	// one is repeated.
	Schedule []time.Duration `json:"schedule,omitempty"`
	// Jitter spreads each delay evenly over this part of it to either side: 0.2 is
	// 20 % shorter to 20 % longer.
	Jitter float64 `json:"jitter,omitempty"`
}

// Wait is the retry delay after the nth attempt has failed, n counted from 1, before
// jitter.
func (r Retry) Wait(n int) time.Duration {
	if len(r.Schedule) > 0 {
		return r.Schedule[min(max(n, 1), len(r.Schedule))-1]
	}
	d := float64(r.Initial) * math.Pow(max(r.Multiplier, 1), float64(max(n, 1)-1))
	if limit := float64(r.Max); r.Max > 0 && d > limit {
		d = limit
	}
	return time.Duration(d)
}

// Total is how long a route is tried at most, the attempts themselves left out.
func (r Retry) Total() (d time.Duration) {
	for n := 1; n < r.Attempts; n++ {
		d += time.Duration(float64(r.Wait(n)) * (1 + r.Jitter))
	}
	return d
}

// Route is a handler or a destination as the plan of one event names it.
type Route struct {
	// Name is stable over deploys: replay finds the route by it.
	Name string `json:"name"`
	// Activity is the registered name of the activity that runs it.
	Activity string `json:"activity"`
	// TaskQueue is where that activity lives; empty is the workflow's own.
	TaskQueue string `json:"taskQueue,omitempty"`
	// Timeout is how long one attempt may take.
	Timeout time.Duration `json:"timeout"`
	// StartWithin is how long a route on another task queue waits for a worker that
	// takes it; 0 is for ever.
	StartWithin time.Duration `json:"startWithin,omitempty"`
	// Retry is when it is tried again.
	Retry Retry `json:"retry"`
}

// Ask is what the plan of an event is made from.
type Ask struct {
	Event Event `json:"event"`
	// Replay is set when a dead letter is replayed: then Left names the
	// routes still to do and Done those that must not run again.
	Replay bool     `json:"replay,omitempty"`
	Left   []string `json:"left,omitempty"`
	Done   []string `json:"done,omitempty"`
	// Undecided are those of Left whose condition could not be evaluated, so that
	// it is asked again.
	Undecided []string `json:"undecided,omitempty"`
}

// Plan is what becomes of one event. History records it, so that a deploy that
// changes the table of routes breaks nothing in flight.
type Plan struct {
	Routes []Route `json:"routes,omitempty"`
	// Gone names routes that were left to do and that no table knows any more.
	Gone []string `json:"gone,omitempty"`
	// Failed are routes of which nobody can say whether they take the event: their
	// condition could not be evaluated.
	Failed []Failure `json:"failed,omitempty"`
	// Declined names routes whose condition does not hold for the event. They are
	// nothing to do; they are named where no other route takes the event.
	Declined []string `json:"declined,omitempty"`
	// Ignore is set when no route takes the event and that is no dead letter: its
	// source says so, or it is a replay of which nothing is left to do.
	Ignore bool `json:"ignore,omitempty"`
}

// Task is one route's work on one event, as its activity receives it.
type Task struct {
	Event Event `json:"event"`
	Route Route `json:"route"`
	// Before is the number of attempts made before this activity.
	Before int `json:"before,omitempty"`
	// Slot is the place in its destination's rate that was given to the event when
	// it was last deferred.
	Slot time.Time `json:"slot,omitzero"`
	// Shut is since when the event has waited for nothing but its destination's circuit.
	Shut time.Time `json:"shut,omitzero"`
	// Tried are the attempts made before this activity, as far as they are known.
	Tried []Attempt `json:"tried,omitempty"`
}

// Attempt is one attempt at a route that failed.
type Attempt struct {
	// Number counts from 1 over all attempts at the route.
	Number int `json:"number"`
	// At is when it had failed, Error the first line of why.
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

// maxTried is how many attempts are remembered of a route: the latest.
const maxTried = 20

// Tried adds an attempt to those before it.
func Tried(before []Attempt, number int, at time.Time, failure string) []Attempt {
	all := append(append([]Attempt{}, before...), Attempt{Number: number, At: at.UTC(), Error: Clean(firstLine(failure), maxWhy)})
	return all[max(len(all)-maxTried, 0):]
}

// Detail is what an attempt adds to the error it ends with.
type Detail struct {
	// Attempt is the number of the attempt, counted from 1 over all of them.
	Attempt int `json:"attempt"`
	// Stack is the stack of a panic.
	Stack string `json:"stack,omitempty"`
	// Reason names the kind of the error where its message is one of many.
	Reason string `json:"reason,omitempty"`
	// Answer is what a destination answered, at most 20 KB.
	Answer string `json:"answer,omitempty"`
	// Until is when a deferred event may ask again; Slot is set when that is a
	// place in the destination's rate. Such an attempt was none: Attempt does not
	// count it.
	Until time.Time `json:"until,omitzero"`
	Slot  bool      `json:"slot,omitempty"`
	// Why is the sort of reason that a deferred event waits for, see WaitsForCircuit.
	Why string `json:"why,omitempty"`
	// Tried are all attempts that failed, this one too.
	Tried []Attempt `json:"tried,omitempty"`
}

// Failure is why a route of a dead letter is still to do.
type Failure struct {
	Route    string    `json:"route,omitempty"`
	Type     string    `json:"type"`
	Message  string    `json:"message"`
	Stack    string    `json:"stack,omitempty"`
	Answer   string    `json:"answer,omitempty"`
	Attempts int       `json:"attempts,omitempty"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	// Cause names the kind of the error, where it is known: see Reason.
	Cause string `json:"cause,omitempty"`
	// Tried are the attempts, the oldest first. Of one whose worker died nothing is
	// known.
	Tried []Attempt `json:"tried,omitempty"`
}

// Replay is an earlier attempt to handle a dead letter. Of one by a stock reset
// nobody says who asked for it.
type Replay struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
	Deed
}

// Letter is what a dead letter carries beside the event and its body.
type Letter struct {
	// Failures are the routes still to do. A failure without a route stands for
	// an event that no route takes.
	Failures []Failure `json:"failures"`
	// Done names the routes that succeeded.
	Done []string `json:"done,omitempty"`
	// Replays are the earlier ones, the oldest first.
	Replays []Replay `json:"replays,omitempty"`
	// Form is LetterForm, or 0 in letters of earlier versions, which are found by
	// source and type only.
	Form int `json:"form,omitempty"`
	// Correction says that the body was replaced; nil where it was not.
	Correction *Correction `json:"correction,omitempty"`
	// Instead is set in a run that only stands in the place of another run of the
	// same letter, which it removes. No event died with it.
	Instead *Instead `json:"instead,omitempty"`
}

// Past is what a replayed event knows of its earlier runs.
type Past struct {
	Left       []string    `json:"left,omitempty"`
	Done       []string    `json:"done,omitempty"`
	Undecided  []string    `json:"undecided,omitempty"`
	Replays    []Replay    `json:"replays,omitempty"`
	Correction *Correction `json:"correction,omitempty"`
	// Pending are the routes still to do, and Failed those that have failed, of an
	// event that waited so long that its run continued as new. Without Pending the
	// plan is made afresh.
	Pending []Pending `json:"pending,omitempty"`
	Failed  []Failure `json:"failed,omitempty"`
}

// Pending is how far a route has come.
type Pending struct {
	Route Route `json:"route"`
	// Before is the number of attempts used up.
	Before int `json:"before,omitempty"`
	// First is when the route was begun.
	First time.Time `json:"first,omitzero"`
	// Tried are the attempts that failed.
	Tried []Attempt `json:"tried,omitempty"`
	// Waits is set while the route is deferred, until Until and for this Reason.
	// Slot is set when that is a place in the destination's rate.
	Waits  bool      `json:"waits,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	Slot   bool      `json:"slot,omitempty"`
	Reason string    `json:"reason,omitempty"`
	// Shut is since when the route has been deferred for its destination's circuit alone.
	Shut time.Time `json:"shut,omitzero"`
}

// WaitsForCircuit is the Detail.Why of an event that waits for a circuit breaker.
const WaitsForCircuit = "circuit"

// Defer notes that the route waits as a deferral says.
func (p *Pending) Defer(d Detail, reason string, now time.Time) {
	switch {
	case d.Why != WaitsForCircuit:
		p.Shut = time.Time{}
	case p.Shut.IsZero() || d.Attempt > p.Before:
		p.Shut = now // Attempts were made before it: the circuit was closed.
	}
	p.Before, p.Until, p.Slot, p.Reason = d.Attempt, d.Until, d.Slot, reason
	if d.Tried != nil {
		p.Tried = d.Tried
	}
}

// The names by which the parts call each other over Temporal. None may hold a
// dot: the SDK's replay compares only what follows the last one.
const (
	// ProcessEvent is the workflow type that handles an event.
	ProcessEvent = "ProcessEvent"
	// DeadLetter is the workflow type of an event that could not be handled.
	DeadLetter = "DeadLetter"
	// Discarded is the workflow type of an event that an operator gave up on.
	Discarded = "Discarded"
	// ActivityRoute makes the plan of an event.
	ActivityRoute = "Route"
	// ActivityTry makes the first attempt at any route.
	ActivityTry = "Try"
	// ActivityDeliver takes an event to a destination of the configuration.
	ActivityDeliver = "Deliver"
	// ActivityAdmit lets an event through to a route on another task queue, or says
	// until when it waits.
	ActivityAdmit = "Admit"
	// ActivityDeleteRun finds out whether the dead letter that a reset started from
	// was replayed since, and removes its run. Histories hold the name.
	ActivityDeleteRun = "DeleteRun"
	// ActivityIndex tells by which search attributes a dead letter can be found.
	ActivityIndex = "Index"
)

// QueryPast is the query by which a run of ProcessEvent, a closed one too, tells
// what a replay of it would have to know: a Past.
const QueryPast = "past"

// The types of failure that the parts agree on.
const (
	// FailureUnmatched is an event that no route takes.
	FailureUnmatched = "NoHandler"
	// FailureUndecided is a route whose condition could not be evaluated.
	FailureUndecided = "Undecided"
	// FailureGone is a route that no table knows any more.
	FailureGone = "RouteGone"
	// FailurePanic is a handler that panicked.
	FailurePanic = "Panic"
	// FailureTimeout is an attempt that took longer than its route allows.
	FailureTimeout = "Timeout"
	// FailureDeferred is no failure: the event has to wait, see Detail.Until. It does
	// not count as an attempt.
	FailureDeferred = "Deferred"
)

// The keys of the memo that the start of an event writes.
const (
	// MemoDigest tells two events of one key apart: see IDAndDigest.
	MemoDigest = "digest"
	// MemoBody is the digest of the body of an event that its sender numbers.
	MemoBody = "body"
	// MemoReplayed is when a dead letter was last replayed; absent if never.
	MemoReplayed = "replayed"
	// MemoSummary is Event.Summary.
	MemoSummary = "summary"
	// MemoOutline is the Outline of a dead letter.
	MemoOutline = "letter"
	// MemoDeed is the Deed of who replayed or discarded a dead letter by our tools.
	MemoDeed = "deed"
)

// The search attributes of an event's workflow: keywords and a time. Reason and
// route are those of a dead letter, and of its replay by our own tools.
const (
	AttributeSource  = "EventSource"
	AttributeType    = "EventType"
	AttributeSubject = "EventSubject"
	AttributeTime    = "EventTime"
	AttributeReason  = "EventReason"
	AttributeRoute   = "EventRoute"
)
