package engine_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

// Both find the usual ports free if they look at the same moment: then one must
// not take the other's engine for its own.
func TestTwoEnginesThatStartAtTheSameMomentAreTwo(t *testing.T) {
	binary, err := enginetest.Binary()
	require.NoError(t, err)
	var running [2]*engine.Embedded
	var faults [2]error
	var wg sync.WaitGroup
	for i := range running {
		dir := t.TempDir()
		wg.Go(func() {
			running[i], faults[i] = engine.Start(context.Background(), engine.EmbeddedOptions{DataDir: dir, Binary: binary, InMemory: true})
		})
	}
	wg.Wait()
	for i, e := range running {
		require.NoError(t, faults[i])
		t.Cleanup(func() { require.NoError(t, e.Stop(context.Background())) })
	}
	require.NotEqual(t, running[0].Address, running[1].Address)
	for _, e := range running {
		select {
		case err := <-e.Done():
			t.Fatalf("an engine ended: %v", err)
		default:
		}
	}
}
