package engine

import (
	"fmt"
	"strings"
)

// Outcome is what became of one step of Setup.
type Outcome string

// The outcomes of a step.
const (
	// Made: it was absent and is there now.
	Made Outcome = "made"
	// Changed: it was there with another value.
	Changed Outcome = "changed"
	// Already: it was as wanted; nothing was done.
	Already Outcome = "already so"
	// Kept: it differs and was left alone on purpose; Detail says why.
	Kept Outcome = "kept"
	// Denied: Temporal does not let us; Detail says who does it and how.
	Denied Outcome = "not permitted"
	// Failed: it could not be done; Detail says what to do.
	Failed Outcome = "failed"
)

// Step is one thing that Setup looked after.
type Step struct {
	// Subject names it, for example `namespace default`.
	Subject string
	// Outcome is what became of it.
	Outcome Outcome
	// Detail is a sentence for people; it may be empty.
	Detail string
}

// String gives the step as one line.
func (s Step) String() string {
	if s.Detail == "" {
		return fmt.Sprintf("%s: %s", s.Subject, s.Outcome)
	}
	return fmt.Sprintf("%s: %s. %s", s.Subject, s.Outcome, s.Detail)
}

// Report tells what Setup did, step by step, in order.
type Report struct {
	// Namespace is the one that was set up.
	Namespace string
	// Steps is in the order in which they were taken.
	Steps []Step
}

// Complete tells whether nothing is left to do for anyone.
func (r Report) Complete() bool {
	for _, s := range r.Steps {
		if s.Outcome == Denied || s.Outcome == Failed {
			return false
		}
	}
	return true
}

// String gives one line per step.
func (r Report) String() string {
	lines := make([]string, len(r.Steps))
	for i, s := range r.Steps {
		lines[i] = s.String()
	}
	return strings.Join(lines, "\n")
}

func (r *Report) add(subject string, o Outcome, detail string) {
	r.Steps = append(r.Steps, Step{Subject: subject, Outcome: o, Detail: detail})
}
