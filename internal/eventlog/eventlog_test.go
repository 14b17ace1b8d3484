package eventlog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/eventlog"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestATimeIsReadAsPeopleWriteIt(t *testing.T) {
	for text, want := range map[string]time.Time{
		"90m": noon.Add(-90 * time.Minute), "3d": noon.Add(-72 * time.Hour), "1d12h": noon.Add(-36 * time.Hour),
		"2026-03-01": time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), "2026-03-01T08:30": time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC),
		"2026-03-01T08:30:00+01:00": time.Date(2026, 3, 1, 7, 30, 0, 0, time.UTC),
	} {
		got, err := eventlog.ParseTime(text, noon)
		require.NoError(t, err, text)
		require.True(t, want.Equal(got), "%s is %s", text, got)
	}
	for _, text := range []string{"soon", "-3h", "d", "-1d", "3dd", "12"} {
		_, err := eventlog.ParseTime(text, noon)
		require.Error(t, err, text)
	}
}

func TestGroupsAreCountedLargestFirst(t *testing.T) {
	row := func(reason string, minutes int) eventlog.Row {
		return eventlog.Row{Source: "zoom", Reason: reason, Ended: noon.Add(time.Duration(minutes) * time.Minute)}
	}
	rows := []eventlog.Row{row("503", 9), row("panic", 5), row("503", 1)}
	require.Equal(t, []eventlog.Group{
		{Key: "503", Count: 2, First: noon.Add(time.Minute), Last: noon.Add(9 * time.Minute)},
		{Key: "panic", Count: 1, First: noon.Add(5 * time.Minute), Last: noon.Add(5 * time.Minute)},
	}, eventlog.Groups(rows, eventlog.ByReason))
	require.Equal(t, noon.Add(time.Minute), eventlog.Census{Rows: rows}.OldestDeath())
}

func TestAFilterMeansWhatItSays(t *testing.T) {
	row := eventlog.Row{
		Source: "zoom", Type: "meeting.started", Subject: "Weekly", Reason: "answered 503", Error: "POST … was answered 503",
		Routes: []string{"crm", "erp"}, Ended: noon,
	}
	for _, c := range []struct {
		name   string
		filter eventlog.Filter
		want   bool
	}{
		{"nothing said", eventlog.Filter{}, true},
		{"one of two routes", eventlog.Filter{Route: "erp"}, true},
		{"another route", eventlog.Filter{Route: "er"}, false},
		{"a type that begins so", eventlog.Filter{Type: "meeting.*"}, true},
		{"another type", eventlog.Filter{Type: "meeting"}, false},
		{"a text of the error, in any case", eventlog.Filter{Error: "Answered"}, true},
		{"since then", eventlog.Filter{Since: noon}, true},
		{"before then", eventlog.Filter{Until: noon}, false},
		{"a pattern of each", eventlog.Filter{Source: "z*m", Type: "*.started", Subject: "Wee*", Route: "e*", Reason: "answered 5*"}, true},
		{"a pattern of another reason", eventlog.Filter{Reason: "answered 4*"}, false},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, c.filter.Match(row)) })
	}
	// A replay is dead again later than it last failed; operations go by the failure, and so does
	// this.
	row.LastFailed = noon.Add(-time.Hour)
	require.False(t, eventlog.Filter{Since: noon}.Match(row))
	require.True(t, eventlog.Filter{Until: noon}.Match(row))
}

func TestOnlyAHashIsAnID(t *testing.T) {
	require.True(t, eventlog.IsID(strings.Repeat("0a", 32)))
	for _, s := range []string{"", strings.Repeat("0A", 32), strings.Repeat("0a", 31), strings.Repeat("0a", 32) + "\n"} {
		require.False(t, eventlog.IsID(s))
	}
}
