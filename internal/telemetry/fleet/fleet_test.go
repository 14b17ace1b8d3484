package fleet_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/telemetry/fleet"
	"github.com/grapnel/grapnel/internal/telemetry/series"
	"github.com/grapnel/grapnel/starter"
)

var noon = time.Date(2026, 3, 4, 12, 0, 30, 0, time.UTC)

// prometheus is a stand-in of Prometheus's HTTP API. It answers with the first matrix whose key is
// part of the query, written as [metric, values] in JSON.
type prometheus struct {
	matrices map[string]string

	mu    sync.Mutex
	asked []*http.Request
}

func (p *prometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r)
	found := "[]"
	for part, matrix := range p.matrices {
		if strings.Contains(r.URL.Query().Get("query"), part) {
			found = matrix
		}
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":%s}}`, found)
}

func (p *prometheus) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// one is a series with one value, at some minutes before noon.
func one(labels string, values map[int]string) string {
	var all []string
	for ago, v := range values {
		all = append(all, fmt.Sprintf(`[%d, %q]`, noon.Truncate(time.Minute).Add(-time.Duration(ago)*time.Minute).Unix(), v))
	}
	return `{"metric":` + labels + `,"values":[` + strings.Join(all, ",") + `]}`
}

// serve returns a reader of a stand-in, and its clock, which the test may set.
func serve(t *testing.T, h http.Handler) (r *fleet.Reader, clock *time.Time) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	now := noon
	return fleet.New(fleet.Options{
		Address: func() string { return s.URL + "/" }, Within: time.Minute, Now: func() time.Time { return now },
	}), &now
}

func sum(points []series.Point) (total float64) {
	for _, p := range points {
		total += p.Value
	}
	return total
}

func TestTheSeriesOfAllProcesses(t *testing.T) {
	p := &prometheus{matrices: map[string]string{
		"grapnel_build_info": "[" + one(`{}`, map[int]string{0: "4", 1: "4", 2: "3"}) + "]",
		"grapnel_received_total": "[" + one(`{"outcome":"started"}`, map[int]string{0: "12", 1: "NaN", 2: "8"}) + "," +
			one(`{"outcome":"duplicate"}`, map[int]string{0: "2"}) + "," + one(`{"outcome":"handshake"}`, map[int]string{0: "50"}) + "," +
			one(`{"outcome":"invalid_signature"}`, map[int]string{1: "3"}) + "," + one(`{"outcome":"stale"}`, map[int]string{1: "1"}) + "]",
		"grapnel_processed_total":                "[" + one(`{}`, map[int]string{0: "11"}) + "]",
		"grapnel_deliveries_total":               "[" + one(`{"route":"crm","result":"done"}`, map[int]string{0: "5"}) + "]",
		"grapnel_delivery_duration_seconds":      "[" + one(`{"route":"crm"}`, map[int]string{0: "0.3", 1: "NaN"}) + "]",
		"histogram_quantile(0.99, sum by (le) (": "[" + one(`{}`, map[int]string{0: "0.25", 1: "+Inf", 90: "7"}) + "]",
		"grapnel_spool_depth":                    "[" + one(`{}`, map[int]string{0: "6"}) + "]",
	}}
	r, _ := serve(t, p)
	f, err := r.Figures(t.Context(), 60)
	require.NoError(t, err)

	started := f.ByMinute(series.Outcome+"started", 60)
	require.Len(t, started, 60)
	require.Equal(t, series.Point{Time: noon.Truncate(time.Minute).Add(-time.Minute), Value: 12, Known: true}, started[59])
	require.Equal(t, []string{"all sources"}, f.Names(series.Received))
	for name, want := range map[string]float64{
		series.Outcome + "started":      20,
		series.Received + "all sources": 22,
		series.Refused + "all sources":  4,
		series.Handled + "all sources":  11,
		series.Died + "all sources":     0,
		series.Attempt + "done:crm":     5,
		series.Spool:                    6,
	} {
		require.InDelta(t, want, sum(f.ByMinute(name, 60)), .001, name)
	}
	// A count without values is zero where a process ran, and unknown elsewhere.
	died := f.ByMinute(series.Died+"all sources", 60)
	require.Equal(t, []bool{false, true, true, true}, []bool{died[56].Known, died[57].Known, died[58].Known, died[59].Known})
	for _, levels := range [][]series.Point{f.Quantile(series.Answer, .99, 60), f.Quantile(series.Route+"crm", .99, 60)} {
		require.True(t, levels[59].Known)
		require.False(t, levels[58].Known, "NaN and Inf are not known")
	}
	require.False(t, f.ByMinute(series.DeadAge, 60)[59].Known)
	require.False(t, f.Quantile(series.Answer, .5, 60)[59].Known)
}

// The starter's outcome of a request decides in which plots it is counted.
func TestEveryOutcomeOfTheStarterCountsWhereItBelongs(t *testing.T) {
	for outcome, want := range map[starter.Acceptance]string{
		starter.Started: series.Received, starter.Duplicate: series.Received, starter.Abandoned: series.Received,
		starter.Replayed: series.Received, starter.Changed: series.Received, starter.Queued: series.Received,
		starter.Ignored: "", "handshake": "", "handshake-signature": series.Refused, "signature": series.Refused,
	} {
		t.Run(string(outcome), func(t *testing.T) {
			r, _ := serve(t, &prometheus{matrices: map[string]string{
				"grapnel_build_info":     "[" + one(`{}`, map[int]string{0: "1"}) + "]",
				"grapnel_received_total": "[" + one(`{"outcome":"`+string(outcome)+`"}`, map[int]string{0: "2"}) + "]",
			}})
			f, err := r.Figures(t.Context(), 60)
			require.NoError(t, err)
			for _, prefix := range []string{series.Received, series.Refused} {
				if prefix == want {
					require.InDelta(t, 2, sum(f.ByMinute(prefix+"all sources", 60)), 0)
				} else {
					require.Empty(t, f.Names(prefix))
				}
			}
		})
	}
}

func TestWhatPrometheusIsAsked(t *testing.T) {
	for minutes, want := range map[int]struct{ step, over string }{60: {"60", "[240s]"}, 6 * 60: {"360", "[360s]"}, 24 * 60: {"1440", "[1440s]"}} {
		t.Run(strconv.Itoa(minutes), func(t *testing.T) {
			p := &prometheus{matrices: map[string]string{"grapnel_build_info": "[" + one(`{}`, map[int]string{0: "1"}) + "]"}}
			r, _ := serve(t, p)
			f, err := r.Figures(t.Context(), minutes)
			require.NoError(t, err)
			require.Len(t, f.ByMinute(series.Spool, minutes), 60)
			for _, asked := range p.asked {
				q := asked.URL.Query()
				require.Equal(t, "/api/v1/query_range", asked.URL.Path)
				require.Contains(t, []string{want.step, "3600"}, q.Get("step"), "by the points of a plot, or by the hour")
				require.Equal(t, strconv.FormatInt(noon.Truncate(time.Minute).Unix(), 10), q.Get("end"))
				require.Empty(t, asked.Header.Get("Authorization"))
				require.Empty(t, asked.Header.Get("Cookie"))
				if text := q.Get("query"); strings.Contains(text, "rate(") {
					require.Contains(t, text, want.over)
				}
			}
		})
	}
}

func TestWhatAllProcessesHeardOfASource(t *testing.T) {
	hourly, week := `[1h]))`, `[1h] offset 1w))`
	p := &prometheus{matrices: map[string]string{
		"count(grapnel_build_info)":                       "[" + one(`{}`, map[int]string{0: "2"}) + "]",
		"count(max_over_time(grapnel_build_info" + hourly: "[" + one(`{}`, map[int]string{0: "2", 60: "2", 120: "2"}) + "]",
		"count(max_over_time(grapnel_build_info" + week:   "[" + one(`{}`, map[int]string{0: "1"}) + "]",
		verified + hourly:                                 "[" + one(`{"source":"zoom"}`, map[int]string{0: "3", 60: "7"}) + "]",
		verified + week:                                   "[" + one(`{"source":"zoom"}`, map[int]string{0: "31"}) + "," + one(`{"source":"slack"}`, map[int]string{0: "12"}) + "]",
		"grapnel_source_last_event_timestamp_seconds":     "[" + one(`{"source":"zoom"}`, map[int]string{0: strconv.FormatInt(noon.Add(-5*time.Minute).Unix(), 10)}) + "]",
	}}
	r, _ := serve(t, p)
	f, err := r.Figures(t.Context(), 60)
	require.NoError(t, err)
	zoom := f.Source("zoom")
	require.InDelta(t, 3, zoom.Hour, 0)
	require.InDelta(t, 31, zoom.Week, 0)
	require.True(t, zoom.WeekKnown)
	require.Equal(t, noon.Add(-5*time.Minute), zoom.Last.UTC())
	require.Len(t, zoom.Day, 24)
	require.Equal(t, series.Point{Time: noon.Truncate(time.Minute).Add(-time.Hour), Value: 3, Known: true}, zoom.Day[23])
	require.InDelta(t, 7, zoom.Day[22].Value, 0)
	require.True(t, zoom.Day[21].Known, "an hour of silence is known where a process lived")
	require.False(t, zoom.Day[20].Known)
	slack := f.Source("slack")
	require.InDelta(t, 12, slack.Week, 0)
	require.Zero(t, slack.Hour)
	require.True(t, slack.Last.IsZero())
	require.Len(t, f.Source("never heard of").Day, 24)
}

const verified = `grapnel_received_total{outcome=~"started|replayed|queued|duplicate|abandoned|changed"}`

func TestWithoutAWeekOfPrometheusNobodyKnowsIt(t *testing.T) {
	p := &prometheus{matrices: map[string]string{"count(grapnel_build_info)": "[" + one(`{}`, map[int]string{0: "2"}) + "]"}}
	r, _ := serve(t, p)
	f, err := r.Figures(t.Context(), 60)
	require.NoError(t, err)
	require.False(t, f.Source("zoom").WeekKnown)
}

func TestHowManyAttemptsTheDeliveriesOfAllProcessesTook(t *testing.T) {
	var buckets []string
	for le, count := range map[string]string{"1.0": "40", "2.0": "45", "3.0": "45", "5.0": "46", "+Inf": "48"} {
		buckets = append(buckets, one(`{"le":"`+le+`"}`, map[int]string{0: count}))
	}
	p := &prometheus{matrices: map[string]string{
		"count(grapnel_build_info)":  "[" + one(`{}`, map[int]string{0: "2"}) + "]",
		"grapnel_delivery_attempts_": "[" + strings.Join(buckets, ",") + "]",
	}}
	r, _ := serve(t, p)
	f, err := r.Figures(t.Context(), 360)
	require.NoError(t, err)
	require.Equal(t, []series.Tried{
		{Attempts: "1", Count: 40}, {Attempts: "2", Count: 5}, {Attempts: "3"}, {Attempts: "4 to 5", Count: 1}, {Attempts: "6 or more", Count: 2},
	}, f.Tries(360))
}

func TestWhatKeptADestinationOfSomeProcess(t *testing.T) {
	p := &prometheus{matrices: map[string]string{
		"count(grapnel_build_info)":        "[" + one(`{}`, map[int]string{0: "2"}) + "]",
		"grapnel_destination_breaker_open": "[" + one(`{"destination":"crm"}`, map[int]string{0: "0", 1: "2", 2: "2"}) + "]",
		"grapnel_destination_paused":       "[" + one(`{"destination":"crm"}`, map[int]string{0: "0", 1: "0", 2: "3"}) + "]",
	}}
	r, _ := serve(t, p)
	f, err := r.Figures(t.Context(), 60)
	require.NoError(t, err)
	points := f.ByMinute(series.Shut+"crm", 60)
	require.InDelta(t, series.ShutNot, points[59].Value, 0)
	require.InDelta(t, series.ShutOpen, points[58].Value, 0)
	require.GreaterOrEqual(t, points[57].Value, float64(series.ShutPaused))
	require.False(t, points[50].Known)
}

func TestPrometheusIsAskedOnceAMinute(t *testing.T) {
	p := &prometheus{matrices: map[string]string{"grapnel_build_info": "[" + one(`{}`, map[int]string{0: "1"}) + "]"}}
	r, clock := serve(t, p)
	ask := func() int {
		before := p.count()
		_, err := r.Figures(t.Context(), 60)
		require.NoError(t, err)
		return p.count() - before
	}
	require.Positive(t, ask())
	*clock = clock.Add(59 * time.Second)
	require.Zero(t, ask())
	*clock = clock.Add(time.Second)
	require.Positive(t, ask())
}

func TestAnotherAddressCountsAtOnce(t *testing.T) {
	p := &prometheus{matrices: map[string]string{"grapnel_build_info": "[" + one(`{}`, map[int]string{0: "1"}) + "]"}}
	s := httptest.NewServer(p)
	defer s.Close()
	address := ""
	r := fleet.New(fleet.Options{Address: func() string { return address }, Within: time.Minute, Now: func() time.Time { return noon }})
	f, err := r.Figures(t.Context(), 60)
	require.NoError(t, err)
	require.Nil(t, f)
	address = s.URL
	f, err = r.Figures(t.Context(), 60)
	require.NoError(t, err)
	require.NotNil(t, f)
	address = ""
	f, err = r.Figures(t.Context(), 60)
	require.NoError(t, err)
	require.Nil(t, f)
}

func TestPrometheusThatCannotBeAsked(t *testing.T) {
	elsewhere := &prometheus{}
	other := httptest.NewServer(elsewhere)
	defer other.Close()
	say := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	refused, err := json.Marshal(map[string]string{"status": "error", "errorType": "bad_data", "error": "no such thing " + strings.Repeat("x", 5000)})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"an error":            {say(http.StatusBadRequest, string(refused)), "it answers 400, bad_data: no such thing xxx"},
		"an error of a proxy": {say(http.StatusBadGateway, "<html>down</html>"), "it answers 502"},
		"not JSON":            {say(http.StatusOK, "<html>hello</html>"), "not what a Prometheus gives"},
		"a vector":            {say(http.StatusOK, `{"status":"success","data":{"resultType":"vector","result":[]}}`), "not what a Prometheus gives"},
		"a value that is none": {
			say(http.StatusOK, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"x"]]}]}}`),
			"not what a Prometheus gives",
		},
		"too large":              {say(http.StatusOK, `{"status":"success","x":"`+strings.Repeat("x", 4<<20)+`"}`), "over 4 MiB"},
		"figures of others":      {say(http.StatusOK, `{"status":"success","data":{"resultType":"matrix","result":[]}}`), "no figures of grapnel"},
		"a connection that ends": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"a redirect": {
			func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.URL+r.URL.RequestURI(), http.StatusFound)
			}, "a redirect, which is not followed",
		},
		"nothing, for long": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer within 50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := serve(t, test.answer)
			r.SetWithin(time.Minute)
			if name == "nothing, for long" {
				r.SetWithin(50 * time.Millisecond)
			}
			f, err := r.Figures(t.Context(), 60)
			require.Nil(t, f)
			require.ErrorContains(t, err, test.want)
			require.Less(t, len(err.Error()), 400)
			require.NotContains(t, err.Error(), "query_range")
			// After an error Prometheus is not asked again at once, so that the page stays quick.
			r.SetWithin(0)
			_, again := r.Figures(t.Context(), 60)
			require.Equal(t, err, again)
		})
	}
	require.Zero(t, elsewhere.count(), "a redirect is not followed")
}
