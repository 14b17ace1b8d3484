package engine_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

func TestRunningFindsTheEngineOfADirectoryWhileItLives(t *testing.T) {
	binary, err := enginetest.Binary()
	require.NoError(t, err)
	dir := t.TempDir()
	_, ok := engine.Running(t.Context(), dir, "default")
	require.False(t, ok, "nothing ever ran there")
	e, err := engine.Start(t.Context(), engine.EmbeddedOptions{DataDir: dir, Binary: binary, InMemory: true, AnyPorts: true})
	require.NoError(t, err)
	found, ok := engine.Running(t.Context(), dir, "default")
	require.True(t, ok)
	require.Equal(t, e.Settings(), found)
	require.NoError(t, e.Stop(context.Background()))
	_, ok = engine.Running(t.Context(), dir, "default")
	require.False(t, ok, "it has ended")
}
