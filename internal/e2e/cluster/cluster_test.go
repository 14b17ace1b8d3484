package cluster_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What compose.yaml publishes, on a loopback address that no other program is likely to listen on.
var (
	address    = cmp.Or(os.Getenv("CLUSTER_ADDRESS"), "127.77.30.1")
	door       = "http://" + address + ":18080"
	tlsDoor    = "https://" + address + ":18443"
	admin      = "http://" + address + ":19090"
	prometheus = "http://" + address + ":19091"
	webUI      = "http://" + address + ":18233"
	temporal   = address + ":17233"
	sinkURL    = "http://" + address + ":18000"
)

// patience is how long a cluster may take for anything: a machine that builds something else
// meanwhile is slow, not at fault.
const patience = 10 * time.Minute

// cluster is the compose file, running.
type cluster struct {
	t       *testing.T
	root    string
	compose []string
	env     []string
	token   string
}

// start brings the cluster up, whole and healthy, and down at the end of the test with all its
// volumes.
func start(t *testing.T) *cluster {
	t.Helper()
	command := os.Getenv("CLUSTER_COMPOSE")
	if command == "" {
		t.Skip("CLUSTER_COMPOSE is not set: `make e2e-cluster` runs these tests where there is a Docker engine")
	}
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	token, err := os.ReadFile(filepath.Join(root, ".secrets", "admin_token"))
	require.NoError(t, err, "deploy/compose/secrets.sh makes it")
	c := &cluster{
		t: t, root: root, token: string(token), env: os.Environ(),
		compose: append(strings.Fields(command), "-f", "docker-compose.yml", "-f", "internal/e2e/cluster/compose.yaml"),
	}
	if left := c.left(); left < 8*time.Minute {
		t.Skipf("SKIPPED: %s are left of the time that the tests may take", left.Round(time.Second))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.try("logs", "--tail", "40"))
		}
		c.down()
	})
	c.down()
	began := time.Now()
	c.up()
	t.Logf("the cluster is healthy after %s", time.Since(began).Round(time.Second))
	return c
}

// left is how long the tests may still take, so that the cluster can be taken down after it.
func (c *cluster) left() time.Duration {
	if end, ok := c.t.Deadline(); ok {
		return time.Until(end) - 2*time.Minute
	}
	return time.Hour
}

// on gives the cluster to a test within the test.
func (c *cluster) on(t *testing.T) *cluster {
	t.Helper()
	inner := *c
	inner.t = t
	return &inner
}

// wait lets a while pass before something is looked at again; the time for all tests may be up by
// then, and that is no fault of the cluster.
func (c *cluster) wait(what string) {
	c.t.Helper()
	if c.left() <= 0 {
		c.t.Skip("SKIPPED: the time is up, in vain until now: ", what)
	}
	time.Sleep(500 * time.Millisecond)
}

// up starts what does not run and waits until everything is healthy. On a slow machine something
// can be called unhealthy that is only late; then it is waited for again.
func (c *cluster) up(services ...string) {
	c.t.Helper()
	args := append([]string{"up", "--detach", "--no-build", "--wait", "--wait-timeout", "300"}, services...)
	for end := time.Now().Add(patience); ; {
		out, err := c.command(c.compose[0], append(c.compose[1:], args...)...)
		if err == nil {
			return
		}
		if strings.Contains(out, "address already in use") || strings.Contains(out, "Pool overlaps") {
			c.t.Skip("SKIPPED: something else on this machine has the addresses: ", out)
		}
		require.True(c.t, time.Now().Before(end), "up: %s", out)
		c.t.Log("not healthy yet:", out)
		c.wait("the cluster is healthy")
	}
}

// down takes everything away, the volumes too.
func (c *cluster) down() {
	c.t.Helper()
	c.run("--profile", "monitoring", "down", "--volumes", "--remove-orphans", "--timeout", "5")
}

// run runs compose and gives what it prints.
func (c *cluster) run(args ...string) string {
	c.t.Helper()
	out, err := c.command(c.compose[0], append(c.compose[1:], args...)...)
	require.NoError(c.t, err, "%s: %s", strings.Join(args, " "), out)
	return out
}

// shell runs compose with words as an operator types them, redirections too.
func (c *cluster) shell(words string) {
	c.t.Helper()
	out, err := c.command("sh", "-c", strings.Join(c.compose, " ")+" "+words)
	require.NoError(c.t, err, "%s: %s", words, out)
}

// try is run where a failure is no failure of the test.
func (c *cluster) try(args ...string) string {
	out, _ := c.command(c.compose[0], append(c.compose[1:], args...)...)
	return out
}

// docker runs docker and gives what it prints.
func (c *cluster) docker(args ...string) string {
	c.t.Helper()
	out, err := c.command("docker", args...)
	require.NoError(c.t, err, "docker %s: %s", strings.Join(args, " "), out)
	return strings.TrimSpace(out)
}

func (c *cluster) command(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = c.root, c.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// container gives the name of a service's container.
func (c *cluster) container(service string) string { return "grapnel-e2e-" + service + "-1" }

// grapnel runs a command of grapnel inside a worker's container, as an operator would.
func (c *cluster) grapnel(args ...string) string {
	c.t.Helper()
	return c.docker(append([]string{"exec", c.container("worker-1"), "/grapnel"}, args...)...)
}

// temporal runs the stock command line against the cluster's Temporal.
func (c *cluster) temporal(args ...string) string {
	c.t.Helper()
	out, err := c.command("temporal", append(args, "--address", temporal)...)
	require.NoError(c.t, err, out)
	return out
}

// count gives how many runs the stock command line finds, or -1 where it gets no answer.
func (c *cluster) count(query string) int {
	out, err := c.command("temporal", "workflow", "count", "--query", query, "--address", temporal)
	n := -1
	if err == nil {
		_, _ = fmt.Sscanf(strings.TrimSpace(out), "Total: %d", &n)
	}
	return n
}

// get asks a page and gives status and body.
func (c *cluster) get(url string, authorized bool) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(c.t, err)
	if authorized {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return answer(req)
}

// answer gives status and body of what was asked; without an answer the status is 0.
func answer(req *http.Request) (int, string) {
	client := http.Client{Timeout: time.Minute}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// delivered gives how often each event came to a path of the sink.
func (c *cluster) delivered(path string) map[string]int {
	c.t.Helper()
	var body string
	c.eventually("the sink says what it got", func() (ok bool) {
		var status int
		status, body = c.get(sinkURL+"/got/"+path, false)
		return status == http.StatusOK
	})
	var got map[string]int
	require.NoError(c.t, json.Unmarshal([]byte(body), &got))
	return got
}

// tell makes a path of the sink answer with a status.
func (c *cluster) tell(path string, status int) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPut, fmt.Sprintf("%s/status/%s/%d", sinkURL, path, status), http.NoBody)
	require.NoError(c.t, err)
	code, said := answer(req)
	require.Equal(c.t, http.StatusOK, code, said)
}

// eventually waits for something that the cluster brings about by itself.
func (c *cluster) eventually(what string, holds func() bool) {
	c.t.Helper()
	for end := time.Now().Add(patience); !holds(); c.wait(what) {
		require.True(c.t, time.Now().Before(end), "in vain: %s", what)
	}
}
