package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/telemetry/fleet"
)

func TestThePageSaysWhoseFiguresItShows(t *testing.T) {
	minute := noon.Unix()
	all := func(w http.ResponseWriter, r *http.Request) {
		found := ""
		switch q := r.URL.Query().Get("query"); {
		case strings.Contains(q, "build_info"):
			found = fmt.Sprintf(`{"metric":{},"values":[[%d,"4"]]}`, minute)
		case strings.Contains(q, "received_total"):
			found = fmt.Sprintf(`{"metric":{"outcome":"started"},"values":[[%d,"123.4"]]}`, minute)
		case strings.Contains(q, "processed_total"):
			found = fmt.Sprintf(`{"metric":{},"values":[[%d,"120.2"]]}`, minute)
		case strings.Contains(q, "deliveries_total"):
			found = fmt.Sprintf(`{"metric":{"route":"of others","result":"failed"},"values":[[%d,"77"]]}`, minute)
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, found)
	}
	down := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"status":"error","errorType":"unavailable","error":"<b>starting</b>"}`)
	}
	const own, received = "<b>3</b><span>received", "<b>123</b><span>received"
	for name, test := range map[string]struct {
		prometheus    http.HandlerFunc
		holds, absent []string
	}{
		"this process": {nil, []string{"Figures of this process.", own}, []string{"Prometheus", "of others"}},
		"all of them":  {all, []string{"Figures of all processes, from Prometheus.", received, "of others", "received 123, handled 120,"}, []string{own}},
		"none to be asked": {
			down,
			[]string{"Figures of this process alone, because Prometheus can't be asked: it answers 503, unavailable: &lt;b&gt;starting", own},
			[]string{"all processes", "<b>starting"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, &world{})
			address := ""
			if test.prometheus != nil {
				s := httptest.NewServer(test.prometheus)
				defer s.Close()
				address = s.URL
			}
			o.Fleet = fleet.New(fleet.Options{Address: func() string { return address }, Within: time.Minute, Now: fixed})
			c := page(t, o)
			got := get(t, c, "/")
			require.Equal(t, http.StatusOK, got.Code)
			for _, text := range test.holds {
				require.Contains(t, got.Body.String(), text)
			}
			for _, text := range test.absent {
				require.NotContains(t, got.Body.String(), text)
			}
			require.Contains(t, get(t, c, "/destinations").Body.String(), test.holds[0])
		})
	}
}
