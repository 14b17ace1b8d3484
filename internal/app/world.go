package app

import (
	"context"
	"fmt"
	"io"
	"strings"

	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/program"
)

// World is what a run of grapnel gets from outside: environment, standard streams, and the handlers
// it was built with.
type World struct {
	// Environ holds the environment variables in the form of os.Environ.
	Environ []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Bind are the functions that bind an adopter's handlers.
	Bind []handler.Bind
}

// Lookup reads an environment variable. The configuration's ${VAR} and envconfig use it.
func (w World) Lookup(name string) (string, bool) {
	for _, kv := range w.Environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}

// Environment reads the settings from the environment variables.
func (w World) Environment() (config.Env, error) {
	env, err := config.LoadEnv(w.Lookup)
	if err != nil {
		return env, fmt.Errorf("environment:\n%w", err)
	}
	return env, nil
}

// Configuration reads the environment variables and the configuration file.
func (w World) Configuration() (config.Env, *config.Config, error) {
	env, err := w.Environment()
	if err != nil {
		return env, nil, err
	}
	cfg, err := config.Load(env.Config, w.Lookup)
	if err != nil {
		return env, nil, fmt.Errorf("configuration:\n%w", err)
	}
	return env, cfg, nil
}

// DefaultDataDir is where up keeps its state unless GRAPNEL_DATA_DIR says otherwise.
const DefaultDataDir = ".grapnel"

// Reach finds the Temporal for a command: the configured one, else the embedded engine that runs on
// the data directory. If neither is there, the settings have no address.
func (w World) Reach(ctx context.Context) (engine.Settings, error) {
	settings, err := engine.Resolve(w.Environ)
	if err != nil || settings.Configured() {
		return settings, err
	}
	dir, ok := w.Lookup("GRAPNEL_DATA_DIR")
	if !ok || dir == "" {
		dir = DefaultDataDir
	}
	if running, ok := engine.Running(ctx, dir, settings.Namespace); ok {
		return running, nil
	}
	return settings, nil
}

// Dial makes a client of the Temporal that Reach finds. If there is none, or it does not answer,
// the error says what to do.
func (w World) Dial(ctx context.Context) (client.Client, engine.Settings, error) {
	settings, err := w.Reach(ctx)
	if err != nil {
		return nil, settings, err
	}
	if !settings.Configured() {
		// The SDK's default would be whatever listens on localhost:7233.
		return nil, settings, Unreachable(settings, nil)
	}
	c, err := engine.Dial(settings, engine.DialOptions{})
	if err != nil {
		return nil, settings, err
	}
	if err := engine.Answers(ctx, c); err != nil {
		c.Close()
		return nil, settings, Unreachable(settings, err)
	}
	return c, settings, nil
}

// Unreachable makes the error of a command that can't reach Temporal. It says what to do. err is
// the cause; it may be nil if no Temporal is configured.
func Unreachable(s engine.Settings, err error) error {
	if !s.Configured() {
		return fmt.Errorf("no Temporal runs here: start '%s', or set TEMPORAL_ADDRESS", program.Command("up"))
	}
	return fmt.Errorf("at %s: %w; see that it runs, or set TEMPORAL_ADDRESS to one that does", s.Address, err)
}

// Variables returns environment variables for the Temporal CLI, each as NAME=value: the address and
// namespace of the Temporal that grapnel uses, and the codec that makes compressed payloads
// readable.
func (w World) Variables(ctx context.Context) ([]string, error) {
	settings, err := w.Reach(ctx)
	if err != nil {
		return nil, err
	}
	if !settings.Configured() {
		return nil, Unreachable(settings, nil)
	}
	env, cfg, err := w.Configuration()
	if err != nil {
		return nil, err
	}
	all := []string{"TEMPORAL_ADDRESS=" + settings.Address, "TEMPORAL_NAMESPACE=" + settings.Namespace}
	if endpoint := (&process{env: env, config: cfg}).codecEndpoint(); endpoint != "" {
		all = append(all, "TEMPORAL_CODEC_ENDPOINT="+endpoint)
	}
	return all, nil
}
