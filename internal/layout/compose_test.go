package layout_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
)

// compose loads docker-compose.yml as `docker compose` does in an empty environment. The loader
// logs what it merely warns about; here a warning is a fault.
func compose(t *testing.T) *types.Project {
	t.Helper()
	warnings := logtest.NewLocal(logrus.StandardLogger())
	t.Cleanup(func() { logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{}) })
	dir, err := filepath.Abs(root)
	require.NoError(t, err)
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "docker-compose.yml")}},
		Environment: types.Mapping{},
	})
	require.NoError(t, err)
	require.Empty(t, warnings.AllEntries())
	return project
}

func TestImagesArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z/-]+:v?\d+\.\d+[\w.-]*$`)
	temporal := 0
	for name, service := range compose(t).Services {
		if service.Build != nil {
			require.Equal(t, "grapnel:local", service.Image, "%s is built here", name)
			continue
		}
		require.Regexp(t, pinned, service.Image, "%s: an exact version, no registry", name)
		if strings.HasPrefix(service.Image, "temporalio/server:") || strings.HasPrefix(service.Image, "temporalio/admin-tools:") {
			require.Contains(t, service.Image, ":1.29.1", "%s: server and schema are of one version", name)
			temporal++
		}
	}
	require.Equal(t, 2, temporal, "the server and its schema job")
}

func TestTheClusterHasEveryPart(t *testing.T) {
	project := compose(t)
	require.ElementsMatch(t, []string{
		"postgresql", "schema", "temporal", "temporal-ui", "setup", "proxy",
		"starter-1", "starter-2", "worker-1", "worker-2",
	}, project.ServiceNames())
	for name, command := range map[string]string{
		"setup": "setup", "starter-1": "starter", "starter-2": "starter", "worker-1": "worker", "worker-2": "worker",
	} {
		service := project.Services[name]
		require.Equal(t, types.ShellCommand{command}, service.Command, name)
		require.True(t, service.ReadOnly, name)
		require.Equal(t, []string{"ALL"}, service.CapDrop, name)
		require.Equal(t, "temporal:7233", *service.Environment["TEMPORAL_ADDRESS"], name)
		require.Equal(t, "json", *service.Environment["GRAPNEL_LOG_FORMAT"], name)
		require.Equal(t, "file:/run/secrets/admin_token", *service.Environment["GRAPNEL_ADMIN_TOKEN"], name)
	}
}

func TestDependenciesCanBeWaitedFor(t *testing.T) {
	project := compose(t)
	for name, service := range project.Services {
		for target, dependency := range service.DependsOn {
			awaited, ok := project.Services[target]
			require.True(t, ok, "%s waits for %s, which is not there", name, target)
			if dependency.Condition == types.ServiceConditionHealthy {
				require.NotNil(t, awaited.HealthCheck, "%s waits for the health of %s", name, target)
				continue
			}
			require.Equal(t, types.ServiceConditionCompletedSuccessfully, dependency.Condition, "%s to %s", name, target)
			require.Contains(t, awaited.Restart, "on-failure", "%s must end for %s to start", target, name)
		}
	}
}

func TestEveryServiceThatStaysHasAHealthCheck(t *testing.T) {
	for name, service := range compose(t).Services {
		ends := strings.HasPrefix(service.Restart, "on-failure")
		checked := service.HealthCheck != nil && !service.HealthCheck.Disable
		require.NotEqual(t, ends, checked, name)
		if checked && service.Build != nil {
			require.Equal(t, types.HealthCheckTest{"CMD", "/grapnel", "health"}, service.HealthCheck.Test,
				"%s: the image has no shell", name)
		}
	}
}

func TestVolumesAndMountsExist(t *testing.T) {
	project := compose(t)
	owner := map[string]string{}
	for name, service := range project.Services {
		for _, mount := range service.Volumes {
			if mount.Type == types.VolumeTypeBind {
				_, err := os.Stat(mount.Source)
				require.NoError(t, err, "%s mounts it", name)
				require.True(t, mount.ReadOnly, "%s: %s", name, mount.Source)
				continue
			}
			require.Contains(t, project.Volumes, mount.Source, name)
			require.Empty(t, owner[mount.Source], "%s is shared with %s", mount.Source, name)
			owner[mount.Source] = name
			if data := service.Environment["GRAPNEL_DATA_DIR"]; data != nil {
				require.Equal(t, *data, mount.Target, name)
			}
		}
	}
	require.Equal(t, map[string]string{
		"postgresql": "postgresql", "starter-1": "starter-1", "starter-2": "starter-2",
	}, owner)
}

func TestPortsArePublishedOnLoopbackOnly(t *testing.T) {
	published := 0
	for name, service := range compose(t).Services {
		for _, port := range service.Ports {
			address, err := netip.ParseAddr(port.HostIP)
			require.NoError(t, err, "%s publishes %s everywhere", name, port.Published)
			require.True(t, address.IsLoopback(), "%s publishes on %s", name, port.HostIP)
			published++
		}
	}
	require.Equal(t, 4, published, "the proxy, the Web UI, Temporal and one admin listener")
}

func TestPasswordsComeFromFiles(t *testing.T) {
	secret := regexp.MustCompile(`(?mi)^\s*\w*(password|pwd|token)\w*:[ \t]*(\S.*)$`)
	matches := secret.FindAllStringSubmatch(read(t, "docker-compose.yml"), -1)
	require.NotEmpty(t, matches)
	for _, match := range matches {
		require.Regexp(t, `^((file:)?/run/secrets|\.secrets)/\w+$|^file: \.secrets/\w+$`, match[2], "%s: a value would stand in `docker inspect`", match[0])
	}
	for name, s := range compose(t).Secrets {
		require.Contains(t, s.File, ".secrets/"+name, "deploy/compose/secrets.sh makes it")
		require.Contains(t, read(t, "deploy/compose/secrets.sh"), "make_secret "+name)
	}
}

func TestEveryServiceIsBounded(t *testing.T) {
	for name, service := range compose(t).Services {
		require.Positive(t, service.PidsLimit, name)
		require.Positive(t, service.MemLimit, name)
		require.Positive(t, service.CPUS, name)
		require.Equal(t, "10m", service.Logging.Options["max-size"], "%s: logs rotate", name)
		require.Equal(t, []string{"no-new-privileges:true"}, service.SecurityOpt, name)
		require.Equal(t, []string{"ALL"}, service.CapDrop, name)
	}
}
