package meeting_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/meeting"
)

func TestWorkflowID(t *testing.T) {
	hashed := "meeting-" // and 64 hex digits
	tests := []struct{ name, meeting, want string }{
		{"a UUID of Zoom's is spelled out", "/ab+C4rd9Tk3Eo/==", "meeting-/ab+C4rd9Tk3Eo/=="},
		{"so is a number", "987654321", "meeting-987654321"},
		{"so is what is no ASCII", "会議", "meeting-会議"},
		{"what is too long is hashed", strings.Repeat("a", 201), hashed},
		{"control characters are hashed", "a\x00b", hashed},
		{"what is no UTF-8 is hashed", "a\xffb", hashed},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := meeting.WorkflowID(tt.meeting)
			if tt.want == hashed {
				require.Regexp(t, `^meeting-[0-9a-f]{64}$`, got)
			} else {
				require.Equal(t, tt.want, got)
			}
			require.False(t, seen[got], "two meetings share %s", got)
			seen[got] = true
		})
	}
}

func TestMarkdownShowsAMeetingAndEscapesTheSendersText(t *testing.T) {
	l := apply(
		meeting.Fact{Event: "s", Kind: meeting.Started, Time: at(0), About: meeting.About{Topic: "<b>*hi*|"}},
		meeting.Fact{Event: "e", Kind: meeting.Ended, Time: at(2)},
		meeting.Fact{Event: "j", Kind: meeting.Joined, Time: at(1), Person: meeting.Person{Key: "k", Name: "[x](javascript:y)"}},
	)
	require.Equal(t, `### &lt;b\>\*hi\*\|

over, started 2023-06-20T15:00:00Z, lasted 2m0s, people: 1, recordings: 0

| who | joined | left |
|---|---|---|
| \[x\]\(javascript\:y\) | 15:01:00 |  |
`, l.View().Markdown())
}

func TestAMeetingIsCalledByWhatIsKnownOfIt(t *testing.T) {
	v := meeting.View{About: meeting.About{ID: "abc=="}}
	require.Equal(t, "abc==", v.Title())
	v.Number = "987"
	require.Equal(t, "987", v.Title())
	v.Topic = "Weekly"
	require.Equal(t, "Weekly", v.Title())
}
