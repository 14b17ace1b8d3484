package spool_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/pace"
	"github.com/grapnel/grapnel/internal/spool"
)

const childVariable = "SPOOL_TEST_CHILD"

// TestMain runs the child of the kill test when asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child puts from many goroutines while a drain goes on and prints a line for each accepted and
// each done entry.
func child(dir string) error {
	s, err := spool.Open(spool.Options{Path: dir, MaxBytes: 4 << 20})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(word, key string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(word, key) // This is one write call, so a kill can't cut the line.
	}
	for w := range 16 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if s.Put(context.Background(), spool.Entry{Key: key, Body: make([]byte, rand.IntN(2000))}) == nil {
					say("accepted", key)
				}
			}
		}()
	}
	return s.Drain(context.Background(), func(_ context.Context, e spool.Entry) spool.EntryOutcome {
		if rand.IntN(3) == 0 {
			return spool.Again()
		}
		say("done", e.Key)
		return spool.Taken()
	}, pace.Options{FirstBackoff: time.Millisecond, LastBackoff: 2 * time.Millisecond})
}

func TestNothingAcceptedIsLostOverKills(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	missing := map[string]bool{}
	rounds := 15
	if testing.Short() {
		rounds = 4
	}
	accepted := 0
	for range rounds {
		accepted += killOneChild(t, self, dir, missing)
		s, err := spool.Open(spool.Options{Path: dir, MaxBytes: 4 << 20})
		require.NoError(t, err)
		listed, err := s.List(1 << 20)
		require.NoError(t, err)
		there := map[string]bool{}
		for _, l := range listed {
			there[l.Key] = true
		}
		require.Zero(t, s.Stats().DamagedBytes)
		require.NoError(t, s.Close())
		for key := range missing {
			require.True(t, there[key], "%s was accepted, is not done, and is gone", key)
		}
	}
	require.Greater(t, accepted, rounds)
}

// killOneChild runs a child, kills it some lines after the first, and notes in waiting which
// entries the spool must still have.
func killOneChild(t *testing.T, self, dir string, waiting map[string]bool) int {
	t.Helper()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines, left, accepted := bufio.NewScanner(out), 1+rand.IntN(1500), 0
	done := map[string]bool{}
	for lines.Scan() {
		word, key, _ := strings.Cut(lines.Text(), " ")
		if word == "accepted" {
			accepted++
			waiting[key] = true
		} else {
			done[key] = true
		}
		if left--; left == 0 {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	require.Error(t, cmd.Wait(), "the child ends by the kill")
	for key := range done {
		delete(waiting, key)
	}
	return accepted
}
