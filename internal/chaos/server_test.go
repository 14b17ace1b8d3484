package chaos_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"
)

// temporal is what a Temporal server on PostgreSQL is made of.
type temporal struct {
	server  string // CHAOS_SERVER, the server's binary
	sqlTool string // CHAOS_SQL_TOOL, temporal-sql-tool
	schema  string // CHAOS_SCHEMA, schema/postgresql/v12 of the server's sources
}

// temporalFiles finds them by the environment.
func temporalFiles(t *testing.T) *temporal {
	t.Helper()
	files := &temporal{os.Getenv("CHAOS_SERVER"), os.Getenv("CHAOS_SQL_TOOL"), os.Getenv("CHAOS_SCHEMA")}
	for _, path := range []string{files.server, files.sqlTool, files.schema} {
		if _, err := os.Stat(path); err != nil {
			t.Skipf("CHAOS_SERVER, CHAOS_SQL_TOOL and CHAOS_SCHEMA name no Temporal server: "+
				"`make temporal-server` builds one, and `make chaos` uses it (%v)", err)
		}
	}
	return files
}

// makeSchemas creates both databases and brings them to the server's version.
func (f *temporal) makeSchemas(t *testing.T, d *database) {
	t.Helper()
	awaitEngine(t, net.JoinHostPort(d.host, d.port))
	for name, dir := range map[string]string{"temporal": "temporal", "temporal_visibility": "visibility"} {
		for _, args := range [][]string{
			{"create"},
			{"setup-schema", "-v", "0.0"},
			{"update-schema", "-d", filepath.Join(f.schema, dir, "versioned")},
		} {
			all := append([]string{
				"--plugin", "postgres12", "--ep", d.host, "-p", d.port, "-u", "temporal", "--pw", "none", "--db", name,
			}, args...)
			out, err := exec.Command(f.sqlTool, all...).CombinedOutput()
			require.NoError(t, err, "%s %v: %s", f.sqlTool, all, out)
		}
	}
}

// serverConfig is the configuration of all services in one process; no port but
// those that the test chose.
var serverConfig = template.Must(template.New("").Parse(`
log: {stdout: true, level: warn}
persistence:
  defaultStore: main
  visibilityStore: visibility
  numHistoryShards: 4
  datastores:
    main:
      sql: &sql
        pluginName: postgres12
        databaseName: temporal
        connectAddr: "{{.Database}}"
        connectProtocol: tcp
        user: temporal
        password: none
        maxConns: 20
        maxIdleConns: 20
        maxConnLifetime: 1h
    visibility:
      sql:
        <<: *sql
        databaseName: temporal_visibility
        maxConns: 5
        maxIdleConns: 5
global:
  membership: {maxJoinDuration: 30s, broadcastAddress: 127.0.0.1}
services:
{{- range .Services}}
  {{.Name}}: {rpc: {grpcPort: {{.RPC}}, membershipPort: {{.Membership}}, bindOnLocalHost: true}}
{{- end}}
clusterMetadata:
  enableGlobalNamespace: false
  failoverVersionIncrement: 10
  masterClusterName: active
  currentClusterName: active
  clusterInformation:
    active: {enabled: true, initialFailoverVersion: 1, rpcName: frontend, rpcAddress: "{{.Address}}"}
dcRedirectionPolicy: {policy: noop}
dynamicConfigClient: {filepath: "{{.Dynamic}}", pollInterval: 10s}
`))

// addServer makes a Temporal server with its state in the database.
func (s *system) addServer(t *testing.T, f *temporal, d *database) (p *process, address string) {
	t.Helper()
	type service struct{ Name, RPC, Membership string }
	var services []service
	port := func(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
	for _, name := range []string{"frontend", "history", "matching", "worker"} {
		rpc := s.freePort(t)
		if name == "frontend" {
			address = rpc
		}
		services = append(services, service{name, port(rpc), port(s.freePort(t))})
	}
	home := filepath.Join(s.dir, "temporal")
	require.NoError(t, os.Mkdir(home, 0o700))
	dynamic := filepath.Join(s.dir, "dynamic.yaml")
	require.NoError(t, os.WriteFile(dynamic, nil, 0o600))
	config, err := os.Create(filepath.Join(home, "development.yaml"))
	require.NoError(t, err)
	require.NoError(t, serverConfig.Execute(config, map[string]any{
		"Database": net.JoinHostPort(d.host, d.port), "Services": services, "Address": address, "Dynamic": dynamic,
	}))
	require.NoError(t, config.Close())
	return &process{
		name: "temporal", path: f.server, dir: s.dir, ends: s.record.ended, env: os.Environ(),
		args: []string{"--root", s.dir, "--config", "temporal", "--env", "development", "--allow-no-auth", "start"},
	}, address
}

// setUp makes namespace and search attributes as a user does, once the server
// serves.
func (s *system) setUp(t *testing.T, address string) {
	t.Helper()
	p := s.add(t, "setup", "setup", "TEMPORAL_ADDRESS="+address)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "grapnel setup: %s", out)
	t.Logf("grapnel setup: %s", out)
}
