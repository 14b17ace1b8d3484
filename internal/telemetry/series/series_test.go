package series_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// clock is a clock that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 4, 12, 0, 30, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func open(t *testing.T, path string, c *clock) *series.Set {
	t.Helper()
	s := series.New(c.now)
	if path != "" {
		require.NoError(t, s.Keep(path))
	}
	return s
}

// text writes points in short; an unknown one is a dash.
func text(points []series.Point) string {
	out := ""
	for i, p := range points {
		if i > 0 {
			out += " "
		}
		if p.Known {
			out += fmt.Sprint(p.Value)
		} else {
			out += "-"
		}
	}
	return out
}

func TestValuesOfAMinuteBecomeOne(t *testing.T) {
	c := newClock()
	s := open(t, "", c)
	s.Add("received", 2)
	s.Most("age", 7)
	s.Level("depth", 4)
	s.Add("received", 1)
	s.Most("age", 5)
	s.Level("depth", 3)
	c.turn(time.Minute)
	s.Add("received", 1)
	require.Equal(t, "- 3 1", text(s.ByMinute("received", 3)))
	require.Equal(t, "- 7 -", text(s.ByMinute("age", 3)), "a level that nobody told is unknown")
	require.Equal(t, "- 3 -", text(s.ByMinute("depth", 3)))
	require.Equal(t, "- 4", text(s.ByHour("received", 2)))
	require.InDelta(t, 4, s.Total("received", 10), 0)
	require.Equal(t, c.now().Truncate(time.Minute), s.ByMinute("received", 1)[0].Time)
}

func TestAMinuteThatTheProcessDidNotLiveIsAGap(t *testing.T) {
	c := newClock()
	s := open(t, "", c)
	s.Add("received", 1)
	c.turn(2 * time.Minute)
	s.Alive()
	require.Equal(t, "1 - 0", text(s.ByMinute("received", 3)))
}

func TestWhatIsOlderThanADayIsKeptByTheHourOnly(t *testing.T) {
	c := newClock()
	s := open(t, "", c)
	s.Add("received", 5)
	c.turn(25 * time.Hour)
	s.Alive()
	require.Zero(t, s.Total("received", series.Minutes))
	require.Equal(t, "5", text(s.ByHour("received", 26)[:1]))
	c.turn(15 * 24 * time.Hour)
	s.Alive()
	for _, p := range s.ByHour("received", series.Hours) {
		require.Zero(t, p.Value)
	}
}

func TestSeriesSurviveARestart(t *testing.T) {
	c, path := newClock(), filepath.Join(t.TempDir(), "series.jsonl")
	s := open(t, path, c)
	s.Add("received", 2)
	require.NoError(t, s.Flush())
	s.Add("received", 1)
	s.Level("depth", 9)
	c.turn(time.Minute)
	s.Add("received", 7)
	require.NoError(t, s.Close())
	// Restart twice: the second restart reads the file that the first has rewritten.
	for i := range 2 {
		c.turn(time.Minute)
		s = open(t, path, c)
		s.Alive()
		require.Equal(t, "3 7", text(s.ByMinute("received", 3+i)[:2]))
		require.Equal(t, "9 -", text(s.ByMinute("depth", 3+i)[:2]))
		require.NoError(t, s.Close())
	}
	require.InDelta(t, 10, s.ByHour("received", 1)[0].Value, 0, "no minute counts twice in its hour")
}

func TestADamagedFileGivesWhatCanBeRead(t *testing.T) {
	c, path := newClock(), filepath.Join(t.TempDir(), "series.jsonl")
	s := open(t, path, c)
	s.Add("received", 2)
	require.NoError(t, s.Close())
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(`{"t":29` + "\x00\n\n" + `{"t":99999999999,"sum":{"received":5}}` + "\n" + `{"t":29543`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	s = open(t, path, c)
	require.InDelta(t, 2, s.Total("received", series.Minutes), 0)
	require.NoError(t, s.Close())
}

func TestTheFileStaysSmall(t *testing.T) {
	c, path := newClock(), filepath.Join(t.TempDir(), "series.jsonl")
	s := open(t, path, c)
	for range 4 * series.Minutes {
		for i := range 10 {
			s.Add(fmt.Sprintf("received:%d", i), 1)
		}
		c.turn(time.Minute)
		require.NoError(t, s.Flush())
	}
	require.NoError(t, s.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(2<<20))
	s = open(t, path, c)
	require.InDelta(t, 60, s.ByHour("received:3", 90)[0].Value, 0)
	require.NoError(t, s.Close())
}

func TestNamesAreBounded(t *testing.T) {
	s := open(t, "", newClock())
	for i := range 5000 {
		s.Add(fmt.Sprintf("x:%d", i), 1)
	}
	require.Len(t, s.Names("x:"), 1500)
}

func TestAQuantileIsTheBoundOfItsBucket(t *testing.T) {
	c := newClock()
	s := open(t, "", c)
	for range 98 {
		s.Took("answer", 4*time.Millisecond)
	}
	s.Took("answer", 200*time.Millisecond)
	s.Took("answer", time.Minute)
	require.Equal(t, "- 0.005", text(s.Quantile("answer", .5, 2)))
	require.Equal(t, "- 0.25", text(s.Quantile("answer", .99, 2)))
	require.Equal(t, "- 10", text(s.Quantile("answer", 1, 2)))
}

func TestSeriesBearConcurrency(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "series.jsonl"), newClock())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				s.Add("received", 1)
				s.ByMinute("received", 5)
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			require.NoError(t, s.Flush())
		}
	})
	wg.Wait()
	require.InDelta(t, 4000, s.Total("received", 1), 0)
	require.NoError(t, s.Close())
}
