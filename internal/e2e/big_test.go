package e2e_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

// zoomOfSize is the body of a Zoom event of so many bytes.
func zoomOfSize(object string, size int) string {
	head := zoomOf(object, "meeting.started")
	head = strings.TrimSuffix(head, "}") + `,"filler":"`
	return head + strings.Repeat("x", size-len(head)-2) + `"}`
}

func TestALargeBodyThatTenDestinationsRefuseIsOneDeadLetter(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it moves dozens of megabytes")
	}
	for _, c := range []struct {
		name string
		size int
	}{
		{"a body of 1 MiB", 1 << 20},
		{"a body of the most that a source may take", 3 << 19},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newTarget(t, func(int) int { return http.StatusInternalServerError })
			src := yaml("    max_body: 1.5MiB", "destinations:\n")
			for i := range 10 {
				src += to(fmt.Sprintf("d%d", i), g.url, "attempts: 3, schedule: [100ms], jitter: 0")
			}
			s := up(t, src, nil)
			body := zoomOfSize(t.Name(), c.size)
			require.Len(t, body, c.size)
			id := s.send(t, body).EventID
			text := s.dead(t, id)
			for i := range 10 {
				require.Contains(t, text, fmt.Sprintf("\nd%d: destination d%d: POST %s was answered 500", i, i, g.url))
			}
			require.Equal(t, 10, strings.Count(text, "attempts: 3"))

			all := g.deliveries()
			require.GreaterOrEqual(t, len(all), 30)
			for _, d := range all {
				require.Equal(t, sha256.Sum256([]byte(body)), d.body, "the bytes arrive as they were sent")
			}
			scheduled := 0
			for _, run := range []string{firstRun(t, s, id), s.latest(t, id).GetExecution().GetRunId()} {
				for _, e := range s.history(t, id, run) {
					require.NotEqual(t, enums.EVENT_TYPE_WORKFLOW_TASK_FAILED, e.GetEventType())
					require.NotEqual(t, enums.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT, e.GetEventType())
					if e.GetEventType() == enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED {
						scheduled++
					}
				}
			}
			require.Equal(t, 10, scheduled)
			if c.size == 1<<20 {
				keep(t, s, "ten_large", id, firstRun(t, s, id))
			}
		})
	}
}

// serve starts an engine of the test's own.
func serve(t *testing.T, o engine.EmbeddedOptions) (server *enginetest.Server, stop func()) {
	t.Helper()
	var err error
	o.AnyPorts = true
	o.Binary, err = enginetest.Binary()
	require.NoError(t, err)
	running, err := engine.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = running.Kill() })
	c, err := engine.Dial(running.Settings(), engine.DialOptions{})
	require.NoError(t, err)
	server = &enginetest.Server{Client: c, Address: running.Address, Namespace: running.Namespace, Engine: running}
	return server, func() {
		c.Close()
		// On a busy machine an engine takes longer than it is given, and is ended then.
		if err := running.Stop(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
			require.NoError(t, err)
		}
	}
}

// sizeOf is the size of the engine's database, write-ahead log and all.
func sizeOf(t *testing.T, dir string) (n int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "engine.db*"))
	require.NoError(t, err)
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		n += info.Size()
	}
	require.Positive(t, n)
	return n
}

func TestAHundredRepeatsOfALargeEventCostLessThanOneBody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts an engine on a disk again and again")
	}
	const size = 500_000
	dir, body := t.TempDir(), zoomOfSize(t.Name(), size)
	bind := func(table *handler.Table) {
		handler.On(table, "zoom", "*", func(context.Context, handler.Event[[]byte]) error { return nil })
	}
	run := func(t *testing.T, send func(t *testing.T, s *system)) (size int64) {
		t.Helper()
		t.Run("run", func(t *testing.T) {
			server, stop := serve(t, engine.EmbeddedOptions{DataDir: dir})
			t.Cleanup(stop)
			send(t, upOn(t, server, yaml(), bind))
		})
		return sizeOf(t, dir)
	}
	before := run(t, func(t *testing.T, s *system) {
		a := s.send(t, body)
		require.False(t, a.Duplicate)
		require.NoError(t, s.result(t, a.EventID))
	})
	require.Greater(t, before, int64(size))
	// The write-ahead log grows to its usual length before it moves into the
	// database, which a run that sends nothing brings on.
	for range 6 {
		last := before
		if before = run(t, func(*testing.T, *system) {}); before == last {
			break
		}
	}
	after := run(t, func(t *testing.T, s *system) {
		for range 10 { // Receivers that have never heard of the event.
			s.url = s.receiver(t, mustParse(t, yaml()))
			for range 10 {
				require.True(t, s.send(t, body).Duplicate)
			}
		}
	})
	t.Logf("the database had %d bytes before and has %d after", before, after)
	require.Less(t, after-before, int64(size))
}
