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

// prometheus answers as its HTTP API is documented to: by the first of the
// matrices whose key is part of the query, as [metric, values] in JSON.
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

// one is a series with a value at some minutes before noon.
func one(labels string, values map[int]string) string {
	var all []string
	for ago, v := range values {
		all = append(all, fmt.Sprintf(`[%d, %q]`, noon.Truncate(time.Minute).Add(-time.Duration(ago)*time.Minute).Unix(), v))
	}
	return `{"metric":` + labels + `,"values":[` + strings.Join(all, ",") + `]}`
}

// serve gives a reader of a stand-in, whose clock can be moved.
func serve(t *testing.T, h http.Handler) (r *fleet.Reader, clock *time.Time) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	now := noon
	return fleet.New(func() string { return s.URL + "/" }, func() time.Time { return now }), &now
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
	// A count that nobody raised is zero where a process lived, and a gap elsewhere.
	died := f.ByMinute(series.Died+"all sources", 60)
	require.Equal(t, []bool{false, true, true, true}, []bool{died[56].Known, died[57].Known, died[58].Known, died[59].Known})
	for _, levels := range [][]series.Point{f.Quantile(series.Answer, .99, 60), f.Quantile(series.Route+"crm", .99, 60)} {
		require.True(t, levels[59].Known)
		require.False(t, levels[58].Known, "NaN and Inf are not known")
	}
	require.False(t, f.ByMinute(series.DeadAge, 60)[59].Known)
	require.False(t, f.Quantile(series.Answer, .5, 60)[59].Known)
}

// What the starter says of a request decides which of the plots it is in.
func TestEveryOutcomeOfTheStarterCountsWhereItBelongs(t *testing.T) {
	for outcome, want := range map[starter.Outcome]string{
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
				require.Equal(t, want.step, q.Get("step"))
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
	r := fleet.New(func() string { return address }, func() time.Time { return noon })
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
			}, "sends elsewhere",
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
			// A fault is not asked for again at once: the page stays quick.
			r.SetWithin(0)
			_, again := r.Figures(t.Context(), 60)
			require.Equal(t, err, again)
		})
	}
	require.Zero(t, elsewhere.count(), "a redirect is not followed")
}
