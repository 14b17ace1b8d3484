package config_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/config"
)

func TestLoadEnv(t *testing.T) {
	t.Run("an empty environment has the defaults", func(t *testing.T) {
		e, err := config.LoadEnv(environment(nil))
		require.NoError(t, err)
		require.Equal(t, config.Env{
			Config: "grapnel.yaml", Listen: ":8080", AdminListen: "127.0.0.1:9090",
			TaskQueue: "grapnel", LogLevel: slog.LevelInfo, LogFormat: "auto",
		}, e)
	})
	t.Run("every variable arrives", func(t *testing.T) {
		e, err := config.LoadEnv(environment(map[string]string{
			"GRAPNEL_CONFIG": "/etc/g.yaml", "GRAPNEL_LISTEN": "0.0.0.0:80", "GRAPNEL_ADMIN_LISTEN": ":9091",
			"GRAPNEL_ADMIN_TOKEN": "0123456789abcdef", "GRAPNEL_DATA_DIR": "/var/lib/grapnel",
			"GRAPNEL_TASK_QUEUE": "q", "GRAPNEL_LOG_LEVEL": "debug", "GRAPNEL_LOG_FORMAT": "json",
		}))
		require.NoError(t, err)
		require.Equal(t, "0123456789abcdef", e.AdminToken.Reveal())
		require.Equal(t, "/var/lib/grapnel", e.DataDir)
		require.Equal(t, slog.LevelDebug, e.LogLevel)
		require.NotContains(t, e.Summary()+fmt.Sprintf("%v %+v %#v", e, e, e), "0123456789abcdef")
		require.Regexp(t, `admin token +set`, e.Summary())
	})
	t.Run("unprefixed names are not read", func(t *testing.T) {
		e, err := config.LoadEnv(environment(map[string]string{"LISTEN": ":1", "CONFIG": "x"}))
		require.NoError(t, err)
		require.Equal(t, ":8080", e.Listen)
	})
	t.Run("all faults are told at once, none with a value", func(t *testing.T) {
		e, err := config.LoadEnv(environment(map[string]string{
			"GRAPNEL_CONFIG": "", "GRAPNEL_LISTEN": "hunter2", "GRAPNEL_ADMIN_LISTEN": ":99999",
			"GRAPNEL_ADMIN_TOKEN": "hunter2", "GRAPNEL_LOG_LEVEL": "hunter2", "GRAPNEL_LOG_FORMAT": "hunter2",
		}))
		var faults config.Faults
		require.ErrorAs(t, err, &faults)
		require.NotContains(t, err.Error(), "hunter2")
		require.Equal(t, "grapnel.yaml", e.Config, "what could be read is given all the same")
		var names []string
		for _, f := range faults {
			names = append(names, f.Path)
		}
		require.ElementsMatch(t, []string{
			"GRAPNEL_CONFIG", "GRAPNEL_LISTEN", "GRAPNEL_ADMIN_LISTEN", "GRAPNEL_ADMIN_TOKEN",
			"GRAPNEL_LOG_LEVEL", "GRAPNEL_LOG_FORMAT",
		}, names)
	})
	for address, needed := range map[string]bool{
		"127.0.0.1:9090": false, "localhost:9090": false, "[::1]:9090": false, "127.9.9.9:1": false,
		":9090": true, "0.0.0.0:9090": true, "10.0.0.1:9090": true, "[::]:9090": true, "admin.internal:9090": true,
	} {
		t.Run(fmt.Sprintf("a token is needed on %s: %t", address, needed), func(t *testing.T) {
			_, err := config.LoadEnv(environment(map[string]string{"GRAPNEL_ADMIN_LISTEN": address}))
			if needed {
				require.ErrorContains(t, err, "GRAPNEL_ADMIN_TOKEN: is required")
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestTheOriginOfAWebUI(t *testing.T) {
	for origin, good := range map[string]bool{
		"": true, "https://temporal.example.com": true, "http://10.0.0.1:8080": true,
		"https://temporal.example.com/": false, "temporal.example.com": false, "*": false, "https://": false,
		"https://user@temporal.example.com": false, "https://temporal.example.com?x": false,
	} {
		t.Run(origin, func(t *testing.T) {
			e, err := config.LoadEnv(environment(map[string]string{"GRAPNEL_UI_ORIGIN": origin}))
			if good {
				require.NoError(t, err)
				require.Equal(t, origin, e.UIOrigin)
			} else {
				require.ErrorContains(t, err, "GRAPNEL_UI_ORIGIN: must be scheme and host alone")
			}
		})
	}
}

func TestDescribeEnv(t *testing.T) {
	var b strings.Builder
	require.NoError(t, config.DescribeEnv(&b))
	require.Contains(t, b.String(), "| `GRAPNEL_LISTEN` | `:8080` |")
	require.Contains(t, b.String(), "| `GRAPNEL_ADMIN_TOKEN` |  |")
	require.Equal(t, 14, strings.Count(b.String(), "\n"))
}
