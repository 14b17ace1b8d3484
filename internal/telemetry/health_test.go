package telemetry_test

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/grapnel/grapnel/internal/telemetry"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestHealthIsMadeOfTheTally(t *testing.T) {
	cases := []struct {
		name  string
		tally telemetry.Tally
		want  string
	}{
		{"nothing yet", telemetry.Tally{}, `{"totalReceived":0,"successfullyProcessed":0,"failed":0,"duplicates":0,
			"lastProcessedAt":null,"averageProcessingTime":0,"successRate":0,"failureRate":0}`},
		{"received and under way", telemetry.Tally{Received: 4}, `{"totalReceived":4,"successfullyProcessed":0,"failed":0,
			"duplicates":0,"lastProcessedAt":null,"averageProcessingTime":0,"successRate":0,"failureRate":0}`},
		{
			"some of each",
			telemetry.Tally{Received: 10, Processed: 6, Failed: 2, Duplicates: 2, Took: 20 * time.Millisecond, Last: noon},
			`{"totalReceived":10,"successfullyProcessed":6,"failed":2,"duplicates":2,
			"lastProcessedAt":"2026-01-02T12:00:00Z","averageProcessingTime":2.5,"successRate":0.6,"failureRate":0.2}`,
		},
		{
			"a worker whose events another process received",
			telemetry.Tally{Processed: 3, Failed: 1, Last: noon},
			`{"totalReceived":0,"successfullyProcessed":3,"failed":1,"duplicates":0,
			"lastProcessedAt":"2026-01-02T12:00:00Z","averageProcessingTime":0,"successRate":0.75,"failureRate":0.25}`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := json.Marshal(c.tally.Health())
			require.NoError(t, err)
			require.JSONEq(t, c.want, string(got))
		})
	}
}

func TestSettleCountsOneOutcome(t *testing.T) {
	cases := []struct {
		name    string
		outcome telemetry.EventOutcome
		took    time.Duration
		want    telemetry.Tally
	}{
		{"processed", telemetry.Processed, time.Second, telemetry.Tally{Processed: 1, Took: time.Second, Last: noon}},
		{"failed", telemetry.Failed, time.Second, telemetry.Tally{Failed: 1, Took: time.Second, Last: noon}},
		{"a duplicate takes no time", telemetry.Duplicate, time.Second, telemetry.Tally{Duplicates: 1}},
		{"a clock that went back", telemetry.Processed, -time.Second, telemetry.Tally{Processed: 1, Last: noon}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, telemetry.Tally{}.Settle(c.outcome, c.took, noon))
		})
	}
}

// outcomes reads p, f and d as processed, failed and duplicate.
func outcomes(s string) []telemetry.EventOutcome {
	var list []telemetry.EventOutcome
	for _, c := range s {
		list = append(list, map[rune]telemetry.EventOutcome{
			'p': telemetry.Processed, 'f': telemetry.Failed, 'd': telemetry.Duplicate,
		}[c])
	}
	return list
}

func TestTheAlarmChangesOncePerTransition(t *testing.T) {
	cases := []struct {
		name, events string
		want         string // one letter for each event: r raised, c cleared, . unchanged
	}{
		{"ten that fail are too few", "ffffffffff", ".........."},
		{"the eleventh makes it more than ten", "fffffffffff", "..........r"},
		{"it is raised once", "fffffffffffff", "..........r.."},
		{"one of eleven is less than a tenth", "fpppppppppp", "..........."},
		{"two of eleven are more", "ffppppppppp", "..........r"},
		{"exactly a tenth of twenty is not more", "fppppppppppppppppppf", "...................."},
		{"it clears when the good ones outweigh", "ffpppppppppppppppppppp", "..........r........c.."},
		{"it is raised again", "ffpppppppppppppppppppff", "..........r........c.r."},
		{"duplicates count as not failed", "ffddddddddd", "..........r"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var a telemetry.Alarm
			got := ""
			for _, o := range outcomes(c.events) {
				got += map[telemetry.Change]string{
					telemetry.Unchanged: ".", telemetry.Raised: "r", telemetry.Cleared: "c",
				}[a.Observe(o)]
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestTheAlarmLooksAtTheLatestThousandOnly(t *testing.T) {
	var a telemetry.Alarm
	require.Zero(t, a.Rate())
	for range 100_000 {
		require.Equal(t, telemetry.Unchanged, a.Observe(telemetry.Processed))
	}
	n := 0
	for a.Observe(telemetry.Failed) != telemetry.Raised {
		n++
		require.Less(t, n, 1000)
	}
	require.Equal(t, 100, n, "the hundred and first of a thousand is more than a tenth")
	cleared := 0
	for range 1000 {
		if a.Observe(telemetry.Processed) == telemetry.Cleared {
			cleared++
		}
	}
	require.Equal(t, 1, cleared)
	require.Zero(t, a.Rate())
}

func TestStatsWarnOnceWhenEventsFailAndTellWhenItIsOver(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	s := telemetry.NewStats(zap.New(core), func() time.Time { return noon })
	for range 15 {
		s.Received()
		s.Failed(time.Millisecond)
	}
	require.Equal(t, 1, logs.Len())
	require.Equal(t, zapcore.WarnLevel, logs.All()[0].Level)
	require.InDelta(t, 1.0, logs.All()[0].ContextMap()["failureRate"], 0)
	for range 200 {
		s.Received()
		s.Processed(time.Millisecond)
	}
	require.Equal(t, 2, logs.Len())
	require.Equal(t, zapcore.InfoLevel, logs.All()[1].Level)
}

func TestStatsBearConcurrency(t *testing.T) {
	s := telemetry.NewStats(zap.NewNop(), nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				s.Received()
				s.Processed(2 * time.Millisecond)
				s.Received()
				s.Duplicate()
				_ = s.Health()
			}
		})
	}
	wg.Wait()
	h := s.Health()
	require.NotNil(t, h.LastProcessedAt)
	h.LastProcessedAt = nil
	require.Equal(t, telemetry.Health{
		TotalReceived: 1600, SuccessfullyProcessed: 800, Duplicates: 800, AverageProcessingTime: 2, SuccessRate: .5,
	}, h)
}
