package enginetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func TestSharedIsOneServerThatIsReady(t *testing.T) {
	server := enginetest.Shared(t)
	require.NoError(t, engine.Ready(t.Context(), server.Client, server.Namespace))
	require.Same(t, server, enginetest.Shared(t))
	require.Equal(t, server.Engine.Address, server.Address)
}
