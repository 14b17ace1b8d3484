package cluster_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// inspected is what the Docker engine says of a container.
type inspected struct {
	Config struct {
		User string
		Env  []string
	}
	HostConfig struct {
		ReadonlyRootfs bool
		CapDrop        []string
		SecurityOpt    []string
		Memory         int64
		NanoCpus       int64
		PidsLimit      int64
		LogConfig      struct{ Config map[string]string }
	}
	State struct{ OOMKilled bool }
}

// TestWhatAnOperatorReliesOn looks at the running cluster for what docker-compose.yml promises:
// metrics of every process behind a token, our rules in a Prometheus, JSON logs that rotate,
// limits, secrets that stand in no environment, the Web UI's codec, TLS at the proxy, and the
// version.
func TestWhatAnOperatorReliesOn(t *testing.T) {
	t.Setenv("CLUSTER_NGINX", nginxWithTLS(t))
	c := start(t)
	body, id := zoomEvent("load.sent", "expect-1")
	c.post(body)
	c.eventually("the event is delivered", func() bool { return c.delivered("load")[id] > 0 })

	t.Run("every container is bounded, hardened and without a secret in its environment", func(t *testing.T) {
		c := c.on(t)
		secrets := []string{c.token}
		password, err := os.ReadFile(filepath.Join(c.root, ".secrets", "postgres_password"))
		require.NoError(t, err)
		secrets = append(secrets, string(password), secret)
		for service := range strings.FieldsSeq(c.run("ps", "--services")) {
			if service == "sink" {
				continue
			}
			raw := c.docker("inspect", "--format", "{{json .}}", c.container(service))
			var got inspected
			require.NoError(t, json.Unmarshal([]byte(raw), &got))
			for _, s := range secrets {
				require.NotContains(t, raw, s, service)
			}
			host := got.HostConfig
			require.Equal(t, []string{"ALL"}, host.CapDrop, service)
			require.Contains(t, host.SecurityOpt, "no-new-privileges:true", service)
			require.Positive(t, host.Memory, service)
			require.Positive(t, host.NanoCpus, service)
			require.Positive(t, host.PidsLimit, service)
			require.Equal(t, "10m", host.LogConfig.Config["max-size"], service)
			require.Equal(t, "5", host.LogConfig.Config["max-file"], service)
			require.False(t, got.State.OOMKilled, service)
			if strings.HasPrefix(service, "starter") || strings.HasPrefix(service, "worker") || service == "proxy" {
				require.True(t, host.ReadonlyRootfs, service)
				require.NotEmpty(t, got.Config.User, service)
			}
		}
	})

	t.Run("logs are JSON and tell no secret", func(t *testing.T) {
		c := c.on(t)
		for _, service := range []string{"starter-1", "starter-2", "worker-1", "worker-2", "proxy"} {
			logs := c.docker("logs", c.container(service))
			require.NotContains(t, logs, secret)
			require.NotContains(t, logs, c.token)
			require.NotEmpty(t, logs, service)
			for line := range strings.Lines(logs) {
				require.True(t, json.Valid([]byte(line)), "%s: %s", service, line)
			}
		}
	})

	t.Run("the image says its version", func(t *testing.T) {
		c := c.on(t)
		said := c.grapnel("version")
		commit, err := exec.CommandContext(t.Context(), "git", "-C", c.root, "rev-parse", "HEAD").Output()
		require.NoError(t, err)
		require.Contains(t, said, strings.TrimSpace(string(commit)))
	})

	t.Run("the Web UI finds the codec, with a key and from its own page", func(t *testing.T) {
		c := c.on(t)
		status, settings := c.get(webUI+"/api/v1/settings", false)
		require.Equal(t, http.StatusOK, status, settings)
		var said struct{ Codec struct{ Endpoint string } }
		require.NoError(t, json.Unmarshal([]byte(settings), &said))
		path, ok := strings.CutPrefix(said.Codec.Endpoint, "http://127.0.0.1:9090/codec/")
		require.True(t, ok, settings)
		ask := func(path string) *http.Request {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, admin+path, bytes.NewReader([]byte(`{"payloads":[]}`)))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/json")
			return req
		}
		status, said2 := answer(ask("/codec/" + path + "/decode"))
		require.Equal(t, http.StatusOK, status, said2)
		status, _ = answer(ask("/codec/decode"))
		require.Equal(t, http.StatusUnauthorized, status)
	})

	t.Run("TLS ends at the proxy, and nobody else's word for it is believed", func(t *testing.T) {
		c := c.on(t)
		client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // The certificate is of this test's own making.
		}}
		post := func(base, claim string) int {
			body, _ := zoomEvent("load.sent", "expect-tls")
			req, err := signed(t.Context(), base+"/webhooks/secure", body, secret, time.Now())
			require.NoError(t, err)
			if claim != "" {
				req.Header.Set("X-Forwarded-Proto", claim)
			}
			res, err := client.Do(req)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			return res.StatusCode
		}
		require.Equal(t, http.StatusOK, post(tlsDoor, ""))
		require.Equal(t, http.StatusForbidden, post(door, ""))
		require.Equal(t, http.StatusForbidden, post(door, "https"))
		balancers := filepath.Join(os.Getenv("CLUSTER_NGINX"), "balancers.conf")
		require.NoError(t, os.WriteFile(balancers, []byte("set_real_ip_from 172.30.77.1;\nreal_ip_header X-Forwarded-For;\n"), 0o644))
		c.docker("exec", c.container("proxy"), "nginx", "-s", "reload")
		claimed := func() int {
			body, _ := zoomEvent("load.sent", "expect-tls")
			req, err := signed(t.Context(), door+"/webhooks/secure", body, secret, time.Now())
			require.NoError(t, err)
			req.Header.Set("X-Forwarded-Proto", "https")
			req.Header.Set("X-Forwarded-For", "192.0.2.77")
			status, _ := answer(req)
			return status
		}
		c.eventually("a balancer that is named is believed", func() bool { return claimed() == http.StatusOK })
	})

	t.Run("Prometheus reads every process and has no fault with our rules", func(t *testing.T) {
		c := c.on(t)
		c.run("--profile", "monitoring", "up", "--detach", "--no-build", "prometheus")
		c.eventually("every process is scraped, with the token", func() bool { return c.scraped() == 4 })
		var rules struct {
			Data struct {
				Groups []struct {
					File  string
					Rules []struct{ Name, Health, LastError string }
				}
			}
		}
		c.eventually("every rule was evaluated without a fault", func() bool {
			status, text := c.get(prometheus+"/api/v1/rules", false)
			if status != http.StatusOK || json.Unmarshal([]byte(text), &rules) != nil {
				return false
			}
			n := 0
			for _, g := range rules.Data.Groups {
				for _, r := range g.Rules {
					require.Empty(t, r.LastError, r.Name)
					if r.Health != "ok" {
						return false
					}
					n++
				}
			}
			return n >= 9
		})
		c.eventually("the operations page plots what all processes did", func() bool {
			return strings.Contains(c.page(), "Figures of all processes")
		})
	})
}

// scraped counts the processes whose metrics the cluster's Prometheus has.
func (c *cluster) scraped() int {
	status, text := c.get(prometheus+"/api/v1/targets?state=active", false)
	var said struct {
		Data struct{ ActiveTargets []struct{ Health string } }
	}
	if status != http.StatusOK || json.Unmarshal([]byte(text), &said) != nil {
		return 0
	}
	up := 0
	for _, target := range said.Data.ActiveTargets {
		if target.Health == "up" {
			up++
		}
	}
	return up
}

// page logs in and gives the operations page, or what was answered instead.
func (c *cluster) page() string {
	c.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(c.t, err)
	form := strings.NewReader(url.Values{"token": {c.token}}.Encode())
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, admin+"/login", form)
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := (&http.Client{Timeout: time.Minute, Jar: jar}).Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return string(page)
}

// nginxWithTLS is the proxy's configuration with tls.conf as its example says, and a certificate.
func nginxWithTLS(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("../../../deploy/compose/nginx")))
	require.NoError(t, os.Rename(filepath.Join(dir, "tls.conf.example"), filepath.Join(dir, "tls.conf")))
	out, err := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
		"-subj", "/CN=grapnel.example", "-days", "2", "-keyout", filepath.Join(dir, "privkey.pem"), "-out", filepath.Join(dir, "fullchain.pem")).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.Chmod(filepath.Join(dir, "privkey.pem"), 0o644))
	return dir
}
