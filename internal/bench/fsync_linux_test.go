package bench_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/bench"
)

// Threads that were there before and threads that came later are counted alike.
func TestSyncsOfAllThreadsAreCounted(t *testing.T) {
	count, done := bench.CountSyncs(os.Getpid())
	defer done()
	before := count()
	if before < 0 {
		t.Skip("the kernel lets this user count no system calls")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _ = f.Sync() })
	}
	all.Wait()
	require.NoError(t, f.Close())
	require.Equal(t, int64(50), count()-before)
}
