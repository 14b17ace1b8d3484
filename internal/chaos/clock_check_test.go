package chaos_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tolerance is how wrong a time-stamp may be; rounding is what whole seconds and
// a busy machine add to that.
const (
	tolerance = 5 * time.Minute
	rounding  = 2 * time.Second
)

// clock is what the record tells of the clock of one process: its steps, in the
// order of time.
type clock []entry

func clockOf(name string, steps []entry) clock {
	var c clock
	for _, e := range steps {
		if e.Key == name {
			c = append(c, e)
		}
	}
	slices.SortFunc(c, func(a, b entry) int { return a.At.Compare(b.At) })
	return c
}

// during gives all that the clock may have been off by while a request was
// answered.
func (c clock) during(answer entry) []time.Duration {
	var offs []time.Duration
	from, to, before := answer.At.Add(-answer.Took), answer.At, time.Duration(0)
	for _, step := range c {
		if !from.After(step.At.Add(step.Took)) {
			offs = append(offs, before) // The step may not have been made.
		}
		if to.Before(step.At) {
			return offs
		}
		before = step.Off
	}
	return append(offs, before)
}

// wrongBy is how wrong the time-stamps of a kind are.
func wrongBy(kind string) time.Duration {
	switch kind {
	case skewed:
		return skewedBy
	case stale:
		return staleBy
	default:
		return 0
	}
}

// lets tells whether the receiver was right to find the time-stamp of an event
// that it acknowledged good.
func (c clock) lets(kind string, answer entry) bool {
	return slices.ContainsFunc(c.during(answer), func(off time.Duration) bool {
		return (wrongBy(kind) - off).Abs() <= tolerance+rounding
	})
}

// refuses tells whether the answer is a refusal for which a step is the reason.
func (c clock) refuses(kind string, answer entry) bool {
	if !strings.HasPrefix(answer.Answer, "400") || !strings.Contains(answer.Answer, "imestamp") {
		return false
	}
	return slices.ContainsFunc(c.during(answer), func(off time.Duration) bool {
		return (wrongBy(kind) - off).Abs() > tolerance-rounding
	})
}

func TestTheCheckerKnowsTheClock(t *testing.T) {
	at := time.Now()
	second := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	// Two days ahead from about 10 to 20 s.
	steps := []entry{
		{What: stepped, Key: "starter", At: second(20), Took: time.Second},
		{What: stepped, Key: "starter", At: second(10), Took: time.Second, Off: 48 * time.Hour},
		{What: stepped, Key: "worker", At: second(0), Off: 48 * time.Hour},
	}
	const old = `400 {"error":"Request timestamp too old"}`
	for name, c := range map[string]struct {
		at             int
		took           time.Duration
		answer         string
		kind           string
		right          bool
		refused, taken bool
	}{
		"before the step all is right":                   {at: 9, answer: old, kind: plain, refused: false, taken: true},
		"while the step is made both answers are right":  {at: 10, answer: old, kind: plain, refused: true, taken: true},
		"after it only a refusal is":                     {at: 12, answer: old, kind: plain, refused: true, taken: false},
		"another refusal has no reason":                  {at: 12, answer: "401 {}", kind: plain, refused: false, taken: false},
		"an answer that began before the step has both":  {at: 12, took: 3 * time.Second, answer: old, kind: plain, refused: true, taken: true},
		"back again, a refusal is wrong":                 {at: 22, answer: old, kind: skewed, refused: false, taken: true},
		"one that began under the wrong clock has both":  {at: 22, took: 4 * time.Second, answer: old, kind: plain, refused: true, taken: true},
		"what is stale by itself needs no step":          {at: 30, answer: old, kind: stale, refused: true, taken: false},
		"a skewed one is right under the machine's time": {at: 5, answer: old, kind: skewed, refused: false, taken: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := entry{At: second(c.at), Took: c.took, Answer: c.answer}
			door := clockOf("starter", steps)
			require.Equal(t, c.refused, door.refuses(c.kind, e))
			require.Equal(t, c.taken, door.lets(c.kind, e))
		})
	}
	event := entry{What: meant, Key: "a", Kind: plain}
	refusal := entry{What: refused, Key: "a", At: second(15), Answer: old}
	require.Len(t, judge(map[string][]entry{meant: {event}, refused: {refusal}}).Wrong, 1, "no step explains it")
	explained := judge(map[string][]entry{meant: {event}, refused: {refusal}, stepped: steps})
	require.Empty(t, explained.Wrong)
	require.Equal(t, 1, explained.Misdated)
}
