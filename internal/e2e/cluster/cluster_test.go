package cluster_test

import (
	"bytes"
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

// The ports that compose.yaml publishes on this machine.
const (
	door     = "http://127.0.0.1:18080"
	admin    = "http://127.0.0.1:19090"
	webUI    = "http://127.0.0.1:18233"
	temporal = "127.0.0.1:17233"
	sinkURL  = "http://127.0.0.1:18000"
)

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
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.try("logs", "--tail", "40"))
		}
		c.run("down", "--volumes", "--timeout", "5")
	})
	c.run("down", "--volumes", "--timeout", "5")
	began := time.Now()
	c.up()
	t.Logf("the cluster is healthy after %s", time.Since(began).Round(time.Second))
	return c
}

// up starts what does not run and waits until everything is healthy.
func (c *cluster) up(services ...string) {
	c.t.Helper()
	c.run(append([]string{"up", "--detach", "--no-build", "--wait", "--wait-timeout", "300"}, services...)...)
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

// get asks a page and gives status and body.
func (c *cluster) get(url string, authorized bool) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(c.t, err)
	if authorized {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return answer(c.t, req)
}

func answer(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 15 * time.Second}
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

// delivered gives how often each event came to a path of the sink.
func (c *cluster) delivered(path string) map[string]int {
	_, body := c.get(sinkURL+"/got/"+path, false)
	var got map[string]int
	require.NoError(c.t, json.NewDecoder(bytes.NewBufferString(body)).Decode(&got))
	return got
}

// tell makes a path of the sink answer with a status.
func (c *cluster) tell(path string, status int) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPut, fmt.Sprintf("%s/status/%s/%d", sinkURL, path, status), http.NoBody)
	require.NoError(c.t, err)
	code, _ := answer(c.t, req)
	require.Equal(c.t, http.StatusOK, code)
}

// eventually waits for something that the cluster brings about by itself.
func (c *cluster) eventually(what string, holds func() bool) {
	c.t.Helper()
	require.Eventually(c.t, holds, 3*time.Minute, 500*time.Millisecond, what)
}
