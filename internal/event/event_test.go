package event_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/grapnel/grapnel/internal/event"
)

func TestSummaryIsOneLineForPeople(t *testing.T) {
	e := event.Event{Source: "zoom", Type: "meeting.started", Subject: "Weekly Team Meeting"}
	require.Equal(t, `zoom meeting.started "Weekly Team Meeting"`, e.Summary())
	e.Subject = "a\nb"
	require.NotContains(t, e.Summary(), "\n")
}

func TestAttributeFitsEveryVisibilityStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := event.Attribute(string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")))
		require.True(t, utf8.ValidString(s))
		require.LessOrEqual(t, utf8.RuneCountInString(s), 255)
		require.False(t, strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }))
	})
	require.Equal(t, "plain text", event.Attribute("plain text"))
	require.Equal(t, 255, utf8.RuneCountInString(event.Attribute(strings.Repeat("é", 300))))
}

func TestCutEndsAtACharacter(t *testing.T) {
	require.Equal(t, "ab", event.Cut("ab", 2))
	require.Equal(t, "é…", event.Cut("ééé", 3))
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"zoom", "zoom", true},
		{"zoom", "zoomy", false},
		{"meeting.*", "meeting.started", true},
		{"meeting.*", "meeting", false},
		{"*", "", true},
		{"*.paid", "invoice.paid", true},
		{"zoom/*.joined", "zoom/meeting.participant.joined", true},
		{"a*b*c", "abbc", true},
		{"a*b*c", "acb", false},
		{"a*a", "a", false},
		{"", "", true},
		{"", "x", false},
	} {
		require.Equal(t, c.want, event.Match(c.pattern, c.s), "%s on %s", c.pattern, c.s)
	}
	require.True(t, event.MatchAny([]string{"a", "b*"}, "bc"))
	require.False(t, event.MatchAny(nil, "bc"))
}

func TestWait(t *testing.T) {
	exponential := event.Retry{Initial: time.Second, Multiplier: 2, Max: 5 * time.Second}
	listed := event.Retry{Schedule: []time.Duration{time.Second, time.Minute}}
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 5 * time.Second, 99: 5 * time.Second} {
		require.Equal(t, want, exponential.Wait(n), "after attempt %d", n)
	}
	for n, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: time.Minute, 3: time.Minute} {
		require.Equal(t, want, listed.Wait(n), "after attempt %d", n)
	}
	require.Equal(t, time.Second, event.Retry{Initial: time.Second}.Wait(3), "no multiplier is a multiplier of one")
}
