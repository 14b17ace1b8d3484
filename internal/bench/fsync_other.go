//go:build !linux

package bench

// syncCounter can't count what another process syncs on this system.
type syncCounter struct{}

func countSyncs(int) *syncCounter   { return nil }
func (s *syncCounter) count() int64 { return -1 }
func (s *syncCounter) close()       {}
