package bench_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/bench"
)

// sample is a report with a figure of each kind.
func sample() *bench.Report {
	series := func(median float64) bench.Series { return bench.Series{Values: []float64{median}, Median: median} }
	return &bench.Report{
		Engine: "Temporal <1>", Rounds: 1, Events: 20,
		Bare: series(100), Textbook: series(20), Up: series(60), Split: series(40), Replays: series(10),
		UpCalls: 2, History: 7, TextbookCalls: 7, TextbookHistory: 11,
		Latency: bench.Times{P50: 12345 * time.Microsecond},
		Burst:   bench.Burst{Accepted: series(1000), Refused: 3},
		Hang:    &bench.Hang{Recovered: 2 * time.Second},
	}
}

func TestTheTableHasRatiosToBareAndToTheTextbook(t *testing.T) {
	var b strings.Builder
	require.NoError(t, sample().Print(&b))
	for line := range strings.SplitSeq(b.String(), "\n") {
		if strings.HasPrefix(line, "grapnel up, handled") {
			require.Equal(t, []string{"60", "0.60", "3.00"}, strings.Fields(line)[3:])
		}
	}
	for _, part := range []string{"grapnel up, handled", "12.3ms", "all handled after it goes on", "2s"} {
		require.Contains(t, b.String(), part)
	}
}

func TestARatioIsTakenRoundByRound(t *testing.T) {
	fast := bench.Series{Values: []float64{100, 60, 10}, Median: 60}
	slow := bench.Series{Values: []float64{200, 40, 10}, Median: 40}
	require.InDelta(t, 1.0, fast.Ratio(slow), 0, "0.5, 1.5 and 1")
	require.InDelta(t, 1.5, fast.Ratio(bench.Series{Values: []float64{40}, Median: 40}), 0, "of the medians where there are no rounds in common")
}

func TestARatioToNothingIsZero(t *testing.T) {
	require.Zero(t, sample().Up.Ratio(bench.Series{}))
}

func TestTheChartIsXMLAndShowsEveryRate(t *testing.T) {
	var b strings.Builder
	require.NoError(t, sample().SVG(&b))
	bars, d := 0, xml.NewDecoder(strings.NewReader(b.String()))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "rect" {
			bars++
		}
	}
	require.Equal(t, 1+9, bars, "the ground and nine rates")
	require.Contains(t, b.String(), "Temporal &lt;1&gt;")
}
