package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shape is how many processes share the work. A process may use a part of a core, so that it is
// what limits the cluster and not the machine.
type shape struct {
	name     string
	services []string           // those that take part, of those that can be left out
	cpus     map[string]float64 // cores of each, where fewer than docker-compose.yml gives
	split    bool               // Temporal's history service as processes of its own
	dynamic  string             // Temporal's dynamic configuration, where not the file of deploy/compose
}

// away are the services that a shape may leave out.
func away() []string { return []string{"starter-1", "starter-2", "worker-1", "worker-2"} }

// TestScale puts the same load on one starter and one worker, on two and two, and on Temporal with
// its history service as one and as two processes, and says what an event costs whom. It judges
// nothing but that every event is handled: what grows is for a reader, and depends on the machine.
func TestScale(t *testing.T) {
	events, err := strconv.Atoi(os.Getenv("CLUSTER_SCALE"))
	if err != nil {
		t.Skip("CLUSTER_SCALE is not set: `make cluster-scale` runs this; it says how many events a round has")
	}
	c := start(t)
	one, two := []string{"starter-1", "worker-1"}, []string{"starter-1", "starter-2", "worker-1", "worker-2"}
	limited := func(names []string, cores float64) map[string]float64 {
		cpus := map[string]float64{}
		for _, name := range names {
			cpus[name] = cores
		}
		return cpus
	}
	const part, history = 0.1, 0.1
	shapes := []shape{
		{name: "1 starter, 1 worker", services: one},
		{name: "2 starters, 2 workers", services: two},
		{name: fmt.Sprintf("1 and 1, each %v of a core", part), services: one, cpus: limited(one, part)},
		{name: fmt.Sprintf("2 and 2, each %v of a core", part), services: two, cpus: limited(two, part)},
		{name: fmt.Sprintf("history as 1 process, %v of a core", history), services: append([]string{"history-1"}, two...), cpus: limited([]string{"history-1"}, history), split: true},
		{name: fmt.Sprintf("history as 2, each %v of a core", history), services: append([]string{"history-1", "history-2"}, two...), cpus: limited([]string{"history-1", "history-2"}, history), split: true},
	}
	if only := os.Getenv("CLUSTER_SHAPES"); only != "" {
		wanted := regexp.MustCompile(only)
		shapes = slices.DeleteFunc(shapes, func(s shape) bool { return !wanted.MatchString(s.name) })
	}
	c.rounds(shapes, events, "scale.txt")
}

// TestSettings puts the same load on Temporal with its own settings, with those that
// deploy/compose/dynamicconfig.yaml changes, and with those of the embedded engine that the file
// leaves out, and says what an event and five idle seconds cost.
func TestSettings(t *testing.T) {
	events, err := strconv.Atoi(os.Getenv("CLUSTER_SETTINGS"))
	if err != nil {
		t.Skip("CLUSTER_SETTINGS is not set; it says how many events a round has")
	}
	c := start(t)
	ours, err := os.ReadFile(filepath.Join(c.root, "deploy", "compose", "dynamicconfig.yaml"))
	require.NoError(t, err)
	const eager = "system.enableEagerWorkflowStart: [{value: true}]\n"
	const batch = "history.visibilityProcessorMaxPollRPS: [{value: 5}]\nhistory.visibilityTaskBatchSize: [{value: 400}]\n"
	var shapes []shape
	for _, s := range []struct{ name, text string }{{"Temporal's own", eager}, {"the file's", string(ours)}, {"the file's and fewer visibility polls", string(ours) + batch}} {
		file := filepath.Join(t.TempDir(), "dynamicconfig.yaml")
		require.NoError(t, os.WriteFile(file, []byte(s.text), 0o644))
		shapes = append(shapes, shape{name: s.name, services: away(), dynamic: file})
	}
	c.rounds(shapes, events, "settings.txt")
}

// rounds puts the same load three times on each shape, in turn, and reports what it cost.
func (c *cluster) rounds(shapes []shape, events int, file string) {
	c.t.Helper()
	const still = 5 * time.Second
	report := newReport(c.t, file)
	report.line("%d events a round, 64 senders, straight to the starters. CPU is in ms an event; PostgreSQL's figures are an event's too.\n", events)
	for round := range 3 {
		for _, s := range shapes {
			c.take(s)
			idle := c.measure()
			time.Sleep(still)
			before := c.measure()
			began := time.Now()
			m := c.burst(c.t.Context(), events, slices.Contains(s.services, "starter-2"))
			c.eventually("all is handled", func() bool { return len(c.delivered("load"))-before.delivered >= events })
			took := time.Since(began)
			used, idled := c.measure().since(before), before.since(idle)
			c.limit(s, func(string) float64 { return 2 })
			report.line("%d %-38s accepted %5.0f/s (p99 %s), handled %4.0f/s; CPU %s; PostgreSQL %.1f commits, %.1f rows written, %.1f kB of WAL, %.0f commits/s; idle %.0f commits/s, CPU in ms a second %s",
				round+1, s.name, float64(events)/m.took.Seconds(), m.p99.Round(time.Millisecond), float64(events)/took.Seconds(), used.cpuOf(events),
				used.commits/float64(events), used.rows/float64(events), used.wal/float64(events)/1000, used.commits/took.Seconds(),
				idled.commits/still.Seconds(), idled.cpuOf(int(still.Seconds())))
		}
	}
}

// take gives the cluster a shape.
func (c *cluster) take(s shape) {
	c.t.Helper()
	const split = "internal/e2e/cluster/history.yaml"
	if has := slices.Contains(c.compose, split); s.split && !has {
		c.compose = append(c.compose, "-f", split)
	} else if !s.split && has {
		c.compose = c.compose[:len(c.compose)-2]
	}
	c.env = append(c.env, "CLUSTER_DYNAMIC="+s.dynamic)
	c.run("up", "--detach", "--no-build", "--remove-orphans", "--wait", "--wait-timeout", "300")
	out := away()
	if s.split {
		out = append(out, "history-1", "history-2")
	}
	c.limit(s, func(name string) float64 { return s.cpus[name] })
	if out = slices.DeleteFunc(out, func(name string) bool { return slices.Contains(s.services, name) }); len(out) > 0 {
		c.run(append([]string{"stop"}, out...)...)
	}
	// One event shows that all shards have found their owner again.
	body, id := zoomEvent("load.sent", fmt.Sprintf("shape-%d", time.Now().UnixNano()))
	c.eventually("an event is taken", func() bool {
		return sendTo(c.t.Context(), starters()[0], body, secret, time.Now()).status == http.StatusOK
	})
	c.eventually("it is handled", func() bool { return c.delivered("load")[id] > 0 })
	time.Sleep(5 * time.Second) // What the change itself costs is not the load's.
}

// limit gives the processes that a shape limits so many cores each.
func (c *cluster) limit(s shape, cores func(name string) float64) {
	c.t.Helper()
	for name := range s.cpus {
		c.docker("update", "--cpus", fmt.Sprint(cores(name)), c.container(name))
	}
}

// starters are the receivers behind the proxy.
func starters() []string {
	return []string{"http://" + address + ":18081", "http://" + address + ":18082"}
}

// burstFigures are what senders saw.
type burstFigures struct{ took, p99 time.Duration }

// burst sends so many events, as fast as 64 senders can.
func (c *cluster) burst(ctx context.Context, events int, both bool) burstFigures {
	c.t.Helper()
	doors := starters()
	if !both {
		doors = doors[:1]
	}
	run, numbers := time.Now().UnixNano(), make(chan int)
	answers := make([]time.Duration, events)
	var wg sync.WaitGroup
	began := time.Now()
	for range 64 {
		wg.Go(func() {
			for i := range numbers {
				body, _ := zoomEvent("load.sent", fmt.Sprintf("%d-%d", run, i))
				for at := time.Now(); ; {
					if s := sendTo(ctx, doors[i%len(doors)], body, secret, time.Now()); s.status == http.StatusOK {
						answers[i] = time.Since(at)
						break
					}
					time.Sleep(100 * time.Millisecond) // As a sender does that is told to come again.
				}
			}
		})
	}
	for i := range events {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
	took := time.Since(began)
	slices.Sort(answers)
	return burstFigures{took: took, p99: answers[len(answers)*99/100]}
}

// figures are the counters of a moment, or their growth.
type figures struct {
	delivered          int
	cpu                map[string]time.Duration // of each kind of process
	commits, rows, wal float64                  // of PostgreSQL
}

func (c *cluster) measure() figures {
	c.t.Helper()
	f := figures{delivered: len(c.delivered("load")), cpu: map[string]time.Duration{}}
	for service := range strings.FieldsSeq(c.run("ps", "--services")) {
		kind, _, _ := strings.Cut(service, "-")
		f.cpu[kind] += c.cpuTime(service)
	}
	out := c.docker("exec", c.container("postgresql"), "psql", "--username", "temporal", "--dbname", "postgres", "--tuples-only", "--no-align", "--command",
		`SELECT sum(xact_commit), sum(tup_inserted+tup_updated+tup_deleted), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') FROM pg_stat_database`)
	parts := strings.Split(strings.TrimSpace(out), "|")
	for i, into := range []*float64{&f.commits, &f.rows, &f.wal} {
		var err error
		*into, err = strconv.ParseFloat(parts[i], 64)
		require.NoError(c.t, err, out)
	}
	return f
}

func (f figures) since(before figures) figures {
	f.commits, f.rows, f.wal, f.delivered = f.commits-before.commits, f.rows-before.rows, f.wal-before.wal, f.delivered-before.delivered
	f.cpu = maps.Clone(f.cpu)
	for kind, used := range before.cpu {
		f.cpu[kind] -= used
	}
	return f
}

// cpuOf says what an event cost each kind of process.
func (f figures) cpuOf(events int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(f.cpu)) {
		if ms := float64(f.cpu[kind].Microseconds()) / 1000 / float64(events); ms >= 0.01 {
			parts = append(parts, fmt.Sprintf("%s %.2f", kind, ms))
		}
	}
	return strings.Join(parts, ", ")
}

// cpuTime is what a service's container has used so far, as the Docker engine tells.
func (c *cluster) cpuTime(service string) time.Duration {
	c.t.Helper()
	host := c.docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	socket, ok := strings.CutPrefix(host, "unix://")
	require.True(c.t, ok, "the engine is asked by its socket, not at %s", host)
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet,
		"http://docker/v1.41/containers/"+c.container(service)+"/stats?stream=false&one-shot=true", http.NoBody)
	require.NoError(c.t, err)
	res, err := client.Do(req)
	require.NoError(c.t, err)
	defer res.Body.Close()
	var stats struct {
		CPU struct {
			Usage struct {
				Total int64 `json:"total_usage"`
			} `json:"cpu_usage"`
		} `json:"cpu_stats"`
	}
	require.NoError(c.t, json.NewDecoder(res.Body).Decode(&stats))
	return time.Duration(stats.CPU.Usage.Total)
}
