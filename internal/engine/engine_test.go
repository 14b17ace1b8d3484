package engine_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

// limit is far above what any of these tests needs; it only keeps a broken
// one from hanging.
const limit = 2 * time.Minute

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// options are those of an engine on a fresh data directory.
func options(t *testing.T) engine.EmbeddedOptions {
	t.Helper()
	binary, err := enginetest.Binary()
	require.NoError(t, err, "run `make bin/temporal` at the module's root")
	return engine.EmbeddedOptions{
		DataDir:  t.TempDir(),
		Binary:   binary,
		AnyPorts: true,
		Logger:   slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// start runs an engine that is ended with the test, if not before.
func start(t *testing.T, o engine.EmbeddedOptions) *engine.Embedded {
	t.Helper()
	e, err := engine.Start(within(t), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Kill()) })
	return e
}
