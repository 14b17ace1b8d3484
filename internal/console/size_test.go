package console_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/console"
	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// crowd is a process with 100 sources, 20 destinations and 10,000 dead letters.
func crowd(t *testing.T) console.Options {
	t.Helper()
	o := options(t, &world{})
	set := series.New(fixed)
	var sources []console.Source
	for i := range 100 {
		name := fmt.Sprintf("source-%02d", i)
		sources = append(sources, console.Source{Name: name, Provider: "github", URL: "https://hooks.example.com/webhooks/" + name, Last: noon})
		for _, prefix := range []string{series.Received, series.Handled, series.Died, series.Refused} {
			set.Add(prefix+name, 3)
		}
	}
	var destinations []console.Destination
	for i := range 20 {
		name := fmt.Sprintf("destination-%02d", i)
		destinations = append(destinations, console.Destination{Name: name, Kind: "http", State: "works", Events: []string{"*/*"}})
		for _, result := range []string{"done", "failed", "timeout", "deferred"} {
			set.Add(series.Attempt+result+":"+name, 3)
		}
		set.Took(series.Route+name, time.Millisecond)
	}
	var rows []eventlog.Row
	for i := range 10_000 {
		route := destinations[i%len(destinations)].Name
		rows = append(rows, eventlog.Row{
			ID: fmt.Sprintf("%064x", i), Run: "r", State: eventlog.Dead, Source: sources[i%len(sources)].Name, Type: fmt.Sprintf("type.%d", i%40),
			Subject: "a subject", Started: noon.Add(-time.Duration(i) * time.Minute), Ended: noon.Add(-time.Duration(i) * time.Minute),
			Reason: fmt.Sprintf("answered %d", 400+i%30), Route: route, Routes: []string{route},
		})
	}
	o.Series, o.Events = set, &world{rows: rows[:100]}
	o.Letters = func() eventlog.Census { return eventlog.Census{At: noon, Count: len(rows), Rows: rows} }
	o.Sources = func() []console.Source { return sources }
	o.Destinations = func() []console.Destination { return destinations }
	o.Configuration = func(context.Context) console.Configuration { return console.Configuration{} }
	return o
}

// The test prints how long each page took. Its bound is a hundred times the promised time, because
// the machine may be busy; it finds only mistakes of that order.
func TestThePagesStayQuickWithManyDeadLetters(t *testing.T) {
	c := page(t, crowd(t))
	for _, path := range []string{"/", "/?range=24h", "/events", "/dead-letters", "/dead-letters?by=type&route=destination-03", "/sources", "/destinations"} {
		began := time.Now()
		w := get(t, c, path)
		took := time.Since(began)
		require.Equal(t, http.StatusOK, w.Code, path)
		t.Logf("%-45s %4d ms, %d KB", path, took.Milliseconds(), w.Body.Len()>>10)
		require.Less(t, took, 30*time.Second, path)
		require.Less(t, w.Body.Len(), 300<<10, path)
	}
}
