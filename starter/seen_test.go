package starter_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/starter"
)

// However many events come, the memory of them is bounded, and what comes again stays in it.
func TestEventsSeenLatelyAreBoundedAndTheRepeatedOnesStay(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	seen := starter.NewSeenEvents(func() time.Time { return now })
	seen.Add("again", "digest")
	for i := range 5 * starter.SeenSize {
		seen.Add(strconv.Itoa(i), "digest")
		if i%starter.SeenSize == 0 {
			known, _ := seen.Note("again", "digest")
			require.True(t, known, "after %d others", i)
		}
	}
	require.LessOrEqual(t, seen.Len(), 2*starter.SeenSize)
	known, _ := seen.Note("0", "digest")
	require.False(t, known, "one that never came again")
	known, _ = seen.Note(strconv.Itoa(5*starter.SeenSize-1), "digest")
	require.True(t, known, "the latest")
}

// A repeat is looked up ten times in a minute. Another event under the same ID is looked up
// every time, and a dead letter is replayed once in the given time.
func TestRepeatsOfAMinuteAreCountedAndRevivalsKeepTheirDistance(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	seen := starter.NewSeenEvents(func() time.Time { return now })
	seen.Add("id", "digest")
	for range 10 {
		_, often := seen.Note("id", "digest")
		require.False(t, often)
	}
	_, often := seen.Note("id", "digest")
	require.True(t, often)
	_, often = seen.Note("id", "another")
	require.False(t, often)
	now = now.Add(time.Minute)
	_, often = seen.Note("id", "digest")
	require.False(t, often, "a new minute")

	require.True(t, seen.Revive("id", time.Hour))
	require.False(t, seen.Revive("id", time.Hour))
	seen.Unrevive("id")
	require.True(t, seen.Revive("id", time.Hour), "the replay before has failed")
	now = now.Add(time.Hour)
	require.True(t, seen.Revive("id", time.Hour))
	require.True(t, seen.Revive("unknown", time.Hour))
}
