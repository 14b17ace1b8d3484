package chaos_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// verdict is what the checker finds by the record alone.
type verdict struct {
	Meant    int            `json:"meant"`
	Kinds    map[string]int `json:"kinds"`
	Acked    int            `json:"acked"`
	Answers  map[string]int `json:"answers"`
	Handled  int            `json:"handled"`
	Reruns   int            `json:"reruns"`
	Lost     []string       `json:"lost"`
	Unknown  []string       `json:"unknown"`
	Changed  []string       `json:"changed"`
	Repeated []string       `json:"repeated"`
	Wrong    []string       `json:"wrong"`
	P50      time.Duration  `json:"p50"`
	P99      time.Duration  `json:"p99"`
	Slowest  time.Duration  `json:"slowest"`
	// Longest is the time from the first acknowledgement of an event until it was handled.
	Longest time.Duration `json:"longest"`
	// Late counts the acknowledgements that took longer than the receiver's budget
	// of a second; a busy machine may add to it, so it is told and not judged.
	Late int `json:"late"`
	// Misdated counts the events that were refused for a step of the receiver's clock.
	Misdated int `json:"misdated"`
}

// lostTask is how long after a kill a task may be lost with its worker before it
// is run again: a workflow task's ten seconds, and the time to notice.
const lostTask = 20 * time.Second

// judge compares what was acknowledged with what was handled.
func judge(entries map[string][]entry) *verdict {
	v := &verdict{Meant: len(entries[meant]), Kinds: map[string]int{}, Answers: map[string]int{}}
	events := map[string]entry{}
	for _, e := range entries[meant] {
		events[e.Key] = e
		v.Kinds[e.Kind]++
	}
	got := map[string][]entry{}
	for _, e := range entries[handled] {
		sent, known := events[e.Key]
		switch {
		case !known || !mayBeHandled(sent.Kind):
			v.Unknown = append(v.Unknown, sent.Kind+" "+e.Key)
		case sent.SHA != e.SHA:
			v.Changed = append(v.Changed, e.Key)
		}
		got[e.Key] = append(got[e.Key], e)
	}
	v.Handled = len(got)
	v.acks(entries, events, got)
	v.reruns(entries[ended], got)
	return v
}

func (v *verdict) acks(entries map[string][]entry, events map[string]entry, got map[string][]entry) {
	keys := map[string]bool{}
	var took []time.Duration
	door := clockOf("starter", entries[stepped])
	for _, e := range entries[acked] {
		if kind := events[e.Key].Kind; !mayBeHandled(kind) || !door.lets(kind, e) {
			v.Wrong = append(v.Wrong, kind+" was acknowledged: "+e.Answer)
		}
		if !keys[e.Key] && len(got[e.Key]) == 0 {
			v.Lost = append(v.Lost, e.Key)
		}
		if !keys[e.Key] && len(got[e.Key]) > 0 {
			v.Longest = max(v.Longest, got[e.Key][0].At.Sub(e.At))
		}
		keys[e.Key] = true
		took = append(took, e.Took)
		v.Answers[label(e.Answer)]++
	}
	v.Acked = len(keys)
	for _, e := range entries[refused] {
		v.Answers[e.Answer[:3]]++
		switch kind := events[e.Key].Kind; {
		case !mayBeHandled(kind) || strings.HasPrefix(e.Answer, "503"):
		case door.refuses(kind, e):
			v.Misdated++
		default:
			v.Wrong = append(v.Wrong, kind+" was refused: "+e.Answer)
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		onTime, _ := slices.BinarySearch(took, time.Second+1)
		v.Late = len(took) - onTime
		v.P50, v.P99, v.Slowest = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	}
}

func label(answer string) string {
	for _, word := range []string{"queued", "duplicate", "replayed"} {
		if strings.Contains(answer, `"`+word+`":true`) {
			return word
		}
	}
	return "started"
}

// reruns looks for a kill that explains each event that was handled again.
func (v *verdict) reruns(ends []entry, got map[string][]entry) {
	for key, times := range got {
		if len(times) == 1 {
			continue
		}
		v.Reruns += len(times) - 1
		slices.SortFunc(times, func(a, b entry) int { return a.At.Compare(b.At) })
		kills := 0
		for _, e := range ends {
			if e.At.After(times[0].At.Add(-lostTask)) && e.At.Before(times[len(times)-1].At) {
				kills++
			}
		}
		if kills < len(times)-1 {
			v.Repeated = append(v.Repeated, fmt.Sprintf("%s: %d times, %d kills between", key, len(times), kills))
		}
	}
}

// settled waits until all that was acknowledged is handled, and then judges.
func (s *system) settled(t *testing.T) *verdict {
	t.Helper()
	// One that may still come is waited for; one that never comes fails below.
	deadline := time.Now().Add(5 * time.Minute)
	for len(judge(s.record.read(t)).Lost) > 0 && time.Now().Before(deadline) {
		time.Sleep(200 * time.Millisecond) // Nothing tells when the record is complete.
	}
	entries := s.record.read(t)
	v := judge(entries)
	r := &report{Test: t.Name(), Seed: s.seed, Verdict: v, Ends: map[string]int{}, Blows: map[string]int{}}
	for _, e := range entries[ended] {
		r.Ends[e.Key]++
	}
	for _, e := range entries[blown] {
		r.Blows[e.Key]++
	}
	r.keep(t)
	require.Empty(t, v.Lost, "acknowledged and not handled")
	require.Empty(t, v.Unknown, "handled, and nobody sent it or may send it")
	require.Empty(t, v.Changed, "handled with another body")
	require.Empty(t, v.Repeated, "handled again, and no kill explains it")
	require.Empty(t, v.Wrong, "answered as it must not be")
	require.Positive(t, v.Acked)
	return v
}

// TestTheCheckerSees keeps the checker honest.
func TestTheCheckerSees(t *testing.T) {
	at := time.Now()
	event := func(key, kind string) entry { return entry{What: meant, At: at, Key: key, Kind: kind, SHA: "s"} }
	done := func(key, sha string, after time.Duration) entry {
		return entry{What: handled, At: at.Add(after), Key: key, SHA: sha}
	}
	ack := func(key string) entry { return entry{What: acked, Key: key, Answer: `200 {"success":true}`} }
	for name, c := range map[string]struct {
		entries map[string][]entry
		found   func(*verdict) []string
	}{
		"an event that is lost": {
			map[string][]entry{meant: {event("a", plain)}, acked: {ack("a")}},
			func(v *verdict) []string { return v.Lost },
		},
		"an event that nobody sent": {
			map[string][]entry{handled: {done("a", "s", 0)}},
			func(v *verdict) []string { return v.Unknown },
		},
		"a forged event": {
			map[string][]entry{meant: {event("a", forged)}, handled: {done("a", "s", 0)}},
			func(v *verdict) []string { return v.Unknown },
		},
		"a changed body": {
			map[string][]entry{meant: {event("a", plain)}, handled: {done("a", "t", 0)}},
			func(v *verdict) []string { return v.Changed },
		},
		"a second run without a kill": {
			map[string][]entry{meant: {event("a", plain)}, handled: {done("a", "s", 0), done("a", "s", time.Second)}},
			func(v *verdict) []string { return v.Repeated },
		},
		"an acknowledgement of half a body": {
			map[string][]entry{meant: {event("a", cut)}, acked: {ack("a")}, handled: {}},
			func(v *verdict) []string { return v.Wrong },
		},
	} {
		t.Run(name, func(t *testing.T) { require.Len(t, c.found(judge(c.entries)), 1) })
	}
	explained := judge(map[string][]entry{
		meant: {event("a", plain)}, handled: {done("a", "s", 0), done("a", "s", 2*time.Second)},
		ended: {{What: ended, At: at.Add(time.Second), Key: "worker"}}, acked: {ack("a")},
	})
	require.Empty(t, explained.Repeated)
	require.Equal(t, 1, explained.Reruns)
}
