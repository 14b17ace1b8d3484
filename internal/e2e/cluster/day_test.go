package cluster_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const deadLetters = `WorkflowType="DeadLetter" AND ExecutionStatus="Failed"`

// TestAnOperatorsDay goes through what people do with the cluster: events come through the proxy
// and are handled, dead letters are found and replayed with the stock tools and with ours, the
// pages open, metrics are scraped, and everything is still there after down and up.
func TestAnOperatorsDay(t *testing.T) {
	c := start(t)

	body, id := zoomEvent("load.sent", "day-1")
	c.post(body)
	c.eventually("the event is delivered", func() bool { return c.delivered("load")[id] > 0 })
	c.eventually("a forged event is refused", func() bool {
		return send(t.Context(), body, "another secret", time.Now()).status == http.StatusUnauthorized
	})
	c.eventually("a stale event is refused", func() bool {
		return send(t.Context(), body, secret, time.Now().Add(-time.Hour)).status == http.StatusBadRequest
	})
	c.eventually("a repeat is answered as the event that it repeats", func() bool {
		return send(t.Context(), body, secret, time.Now()).eventID == id
	})

	c.tell("flaky", http.StatusInternalServerError)
	var letters []string
	for _, uuid := range []string{"day-2", "day-3"} {
		body, id := zoomEvent("flaky.sent", uuid)
		c.post(body)
		letters = append(letters, id)
	}
	c.eventually("two dead letters in the stock list", func() bool { return c.count(deadLetters) == 2 })
	list := c.grapnel("dlq", "list", "--json")
	for _, id := range letters {
		require.Contains(t, list, id)
	}

	c.tell("flaky", http.StatusOK)
	c.temporal("workflow", "reset", "--type", "FirstWorkflowTask", "--reason", "mended", "--workflow-id", letters[0])
	c.eventually("the first is replayed by the stock reset", func() bool { return c.delivered("flaky")[letters[0]] == 1 })
	c.grapnel("dlq", "replay", letters[1], "--reason", "mended")
	c.eventually("the second is replayed by our command", func() bool { return c.delivered("flaky")[letters[1]] == 1 })
	c.eventually("the store is empty", func() bool { return c.count(deadLetters) == 0 })

	status, page := c.get(webUI+"/namespaces/default/workflows", false)
	require.Equal(t, http.StatusOK, status, "Temporal's Web UI")
	require.Contains(t, page, "<html")
	status, _ = c.get(admin+"/metrics", false)
	require.Equal(t, http.StatusUnauthorized, status, "the admin listener asks for its token")
	status, metrics := c.get(admin+"/metrics", true)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, metrics, "grapnel_")

	c.run("down", "--timeout", "30")
	c.up()
	c.post(body)
	next, nextID := zoomEvent("load.sent", "day-4")
	c.post(next)
	c.eventually("the next event is delivered", func() bool { return c.delivered("load")[nextID] > 0 })
	require.Zero(t, c.delivered("load")[id], "a repeat is known after down and up")
	require.Contains(t, c.temporal("workflow", "describe", "--workflow-id", id), "COMPLETED")
}

// TestBackupAndRestore does what docs/operations.md says: dump PostgreSQL while events come in,
// lose it, restore it, and find the events of before in it.
func TestBackupAndRestore(t *testing.T) {
	c := start(t)
	body, id := zoomEvent("load.sent", "backup-1")
	c.post(body)
	c.eventually("the event is delivered", func() bool { return c.delivered("load")[id] > 0 })

	backup := t.TempDir() + "/backup.sql"
	c.shell("exec -T postgresql pg_dumpall --clean --if-exists --username temporal >" + backup)
	c.run("stop", "temporal", "worker-1", "worker-2")
	c.run("rm", "--stop", "--force", "--volumes", "postgresql")
	c.docker("volume", "rm", "grapnel-e2e_postgresql")

	// While the database is gone, an event waits on a starter's disk.
	later, waiting := zoomEvent("load.sent", "backup-2")
	c.post(later)

	c.up("postgresql")
	c.shell("exec -T postgresql psql --quiet --username temporal --dbname postgres <" + backup)
	c.up()
	require.Contains(t, c.temporal("workflow", "describe", "--workflow-id", id), "COMPLETED")
	c.eventually("what waited is delivered", func() bool { return c.delivered("load")[waiting] > 0 })
}
