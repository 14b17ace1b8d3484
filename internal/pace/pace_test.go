package pace_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/grapnel/grapnel/internal/pace"
)

// noon is when the tests begin; the pace knows no clock of its own.
var noon = time.Date(2026, time.January, 2, 12, 0, 0, 0, time.UTC)

// steady is a pace that begins at ten and whose pauses are drawn at their longest.
func steady() *pace.Pace {
	return pace.New(pace.Options{
		First: 10, Most: 20, Fast: 50 * time.Millisecond,
		FirstBackoff: 100 * time.Millisecond, LastBackoff: time.Second,
		Random: func() float64 { return 1 },
	})
}

func TestPaceBeginsWhereItIsTold(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    pace.Options
		want int
	}{
		{"one is enough to learn from", pace.Options{}, 1},
		{"a first number", pace.Options{First: 16}, 16},
		{"a first number over the bound", pace.Options{First: 16, Most: 4}, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := pace.New(tc.o)
			require.Equal(t, tc.want, p.Limit())
			require.Equal(t, tc.want, p.Room(noon, 0))
			require.Equal(t, tc.want-1, p.Room(noon, 1))
		})
	}
}

func TestPaceGrowsByOneARoundWhileAnswersAreFast(t *testing.T) {
	t.Run("every answer of a full round adds its share", func(t *testing.T) {
		p := pace.New(pace.Options{Fast: time.Second})
		p.Succeeded(p.Round(), time.Millisecond, true)
		require.Equal(t, 2, p.Limit())
		for range 3 {
			p.Succeeded(p.Round(), time.Millisecond, true)
		}
		require.Equal(t, 3, p.Limit())
	})
	t.Run("to its bound and not beyond", func(t *testing.T) {
		p := steady()
		for range 1000 {
			p.Succeeded(p.Round(), time.Millisecond, true)
		}
		require.Equal(t, 20, p.Limit())
	})
	t.Run("not while there was room left, which proves nothing", func(t *testing.T) {
		p := steady()
		for range 1000 {
			p.Succeeded(p.Round(), time.Millisecond, false)
		}
		require.Equal(t, 10, p.Limit())
	})
}

func TestPaceSlowsDownOnLatency(t *testing.T) {
	p := steady()
	begun := p.Round()
	p.Succeeded(begun, 51*time.Millisecond, true)
	require.Equal(t, 9, p.Limit(), "a tenth less")
	require.Equal(t, 9, p.Room(noon, 0), "and no pause")
	p.Succeeded(begun, time.Second, true)
	require.Equal(t, 9, p.Limit(), "what began before the decrease is old news")
	for range 100 {
		p.Succeeded(p.Round(), time.Second, true)
	}
	require.Equal(t, 1, p.Limit(), "never to nothing")
}

func TestPaceCollapsesToOneProbeAfterFailures(t *testing.T) {
	p := steady()
	begun := p.Round()
	p.Failed(begun, noon)
	require.Equal(t, 5, p.Limit(), "half after the first failure")
	p.Failed(begun, noon)
	require.Equal(t, 5, p.Limit(), "the others of that round say the same thing")
	require.Zero(t, p.Room(noon, 0), "nothing during the pause")
	require.Equal(t, 100*time.Millisecond, p.Pause(noon))

	later := noon.Add(100 * time.Millisecond)
	require.Equal(t, 5, p.Room(later, 0))
	p.Failed(p.Round(), later)
	require.Equal(t, 1, p.Limit(), "one at a time when nothing succeeded in between")
	require.Equal(t, 200*time.Millisecond, p.Pause(later))
	require.Equal(t, 1, p.Room(later.Add(200*time.Millisecond), 0))
	require.Zero(t, p.Room(later.Add(200*time.Millisecond), 1), "the probe is under way")
}

func TestPaceForgetsFailuresAfterASuccess(t *testing.T) {
	p := steady()
	p.Failed(p.Round(), noon)
	p.Succeeded(p.Round(), time.Millisecond, false)
	p.Failed(p.Round(), noon)
	require.Equal(t, 2, p.Limit(), "half of five, not one")
	require.Equal(t, 100*time.Millisecond, p.Pause(noon), "the pause begins anew")
}

func TestPaceBacksOffTwiceAsLongEachTime(t *testing.T) {
	ms := time.Millisecond
	longest := steady()
	for n, want := range []time.Duration{100 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, time.Second, time.Second} {
		require.Equal(t, want, longest.Backoff(n), n)
	}
	shortest := pace.New(pace.Options{FirstBackoff: 100 * ms, Random: func() float64 { return 0 }})
	require.Equal(t, 50*ms, shortest.Backoff(1), "at least half of it")
	require.Equal(t, 7500*ms, shortest.Backoff(1000))
	patient := pace.New(pace.Options{FirstBackoff: time.Minute, Random: func() float64 { return 1 }})
	require.Equal(t, time.Minute, patient.Backoff(9), "a first pause over the last one's default raises it")
}

func TestPaceWithoutAPauseAsksAgainInAMinute(t *testing.T) {
	require.Equal(t, time.Minute, steady().Pause(noon))
}

func TestPaceStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 100).Draw(t, "most")
		p := pace.New(pace.Options{Most: most, First: rapid.IntRange(0, 200).Draw(t, "first")})
		now := noon
		for _, news := range rapid.SliceOf(rapid.IntRange(0, 3)).Draw(t, "news") {
			switch news {
			case 0:
				p.Succeeded(p.Round(), 0, true)
			case 1:
				p.Succeeded(p.Round(), time.Hour, true)
			case 2:
				p.Failed(p.Round(), now)
			default:
				now = now.Add(p.Pause(now))
				require.Positive(t, p.Room(now, 0), "after its pause there is room for a probe")
			}
			require.GreaterOrEqual(t, p.Limit(), 1)
			require.LessOrEqual(t, p.Limit(), most)
		}
	})
}
