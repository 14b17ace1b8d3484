package spool_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grapnel/grapnel/internal/spool"
)

// model is what the spool must hold: accepted entries that are not done, in order of acceptance.
type model struct {
	root    string
	round   int
	disk    *disk
	spool   *spool.Spool
	order   []string        // accepted, by first acceptance
	kept    map[string]bool // accepted and not done
	maybe   map[string]bool // refused by a failing disk, or done shortly before a crash: may be there
	aside   map[string]bool // set aside
	leased  map[string]spool.Entry
	counter int
}

func (m *model) dir() string { return filepath.Join(m.root, strconv.Itoa(m.round)) }

func (m *model) open(t *rapid.T) {
	m.disk = newDisk()
	s, err := spool.Open(spool.Options{Path: m.dir(), MaxBytes: 512 << 10}.WithDisk(m.disk.create))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	m.spool, m.leased = s, map[string]spool.Entry{}
}

// Put puts a new entry or repeats an old one.
func (m *model) Put(t *rapid.T) {
	m.counter++
	key := fmt.Sprintf("%06d", m.counter)
	if len(m.order) > 0 && rapid.Bool().Draw(t, "repeat") {
		key = rapid.SampledFrom(m.order).Draw(t, "which")
	}
	size := rapid.IntRange(0, 8<<10).Draw(t, "size")
	if err := m.spool.Put(context.Background(), spool.Entry{Key: key, Digest: "d", Body: make([]byte, size)}); err != nil {
		return
	}
	if m.aside[key] || m.kept[key] {
		return
	}
	m.order = slices.DeleteFunc(m.order, func(k string) bool { return k == key })
	m.order = append(m.order, key)
	m.kept[key] = true
	delete(m.maybe, key)
}

// Take leases some entries, and checks that they were waiting and come in order.
func (m *model) Take(t *rapid.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if m.spool.Stats().Depth == len(m.leased) {
		return
	}
	entries, err := m.spool.Next(ctx, rapid.IntRange(1, 5).Draw(t, "limit"))
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	for _, e := range entries {
		if _, twice := m.leased[e.Key]; twice || (!m.kept[e.Key] && !m.maybe[e.Key]) {
			t.Fatalf("entry %s was offered (twice: %t)", e.Key, twice)
		}
		m.leased[e.Key] = e
	}
}

// Settle ends one lease in one of the three ways.
func (m *model) Settle(t *rapid.T) {
	if len(m.leased) == 0 {
		return
	}
	keys := make([]string, 0, len(m.leased))
	for key := range m.leased {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	key := rapid.SampledFrom(keys).Draw(t, "key")
	e := m.leased[key]
	delete(m.leased, key)
	switch rapid.IntRange(0, 9).Draw(t, "how") {
	case 0:
		if err := m.spool.SetAside(e, "refused"); err != nil {
			t.Fatalf("set aside: %v", err)
		}
		m.aside[key] = true
		delete(m.kept, key)
		delete(m.maybe, key)
	case 1, 2, 3:
		m.spool.Retry(e, 0)
	default:
		m.spool.Done(e)
		delete(m.kept, key)
		m.maybe[key] = true
	}
}

// Fault lets the disk fail for one put, then heals it.
func (m *model) Fault(t *rapid.T) {
	flag := &m.disk.failSync
	if rapid.Bool().Draw(t, "write") {
		flag = &m.disk.failWrite
	}
	m.counter++
	key := fmt.Sprintf("%06d", m.counter)
	flag.Store(true)
	err := m.spool.Put(context.Background(), spool.Entry{Key: key, Digest: "d", Body: make([]byte, 100)})
	flag.Store(false)
	if err == nil {
		t.Fatalf("a put succeeded on a failing disk")
	}
	m.maybe[key] = true
	for m.spool.Stats().Failed {
		time.Sleep(time.Millisecond)
	}
}

// Crash is a power cut: unsynced bytes are lost, all or in part.
func (m *model) Crash(t *rapid.T) {
	from, disk, old := m.dir(), m.disk, m.spool
	m.round++
	disk.crash(t, from, m.dir(), rapid.Float64Range(0, 1).Draw(t, "keep"))
	_ = old.Close()
	_ = os.RemoveAll(from)
	m.open(t)
}

// Restart closes the spool and opens it again.
func (m *model) Restart(t *rapid.T) {
	if err := m.spool.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	m.open(t)
}

// Check compares the model with what the spool lists.
func (m *model) Check(t *rapid.T) {
	listed, err := m.spool.List(1 << 20)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	seen := map[string]bool{}
	for _, l := range listed {
		if seen[l.Key] {
			t.Fatalf("entry %s is there twice", l.Key)
		}
		seen[l.Key] = true
		if !m.kept[l.Key] && !m.maybe[l.Key] && !m.aside[l.Key] {
			t.Fatalf("entry %s should not be there", l.Key)
		}
	}
	for _, must := range []map[string]bool{m.kept, m.aside} {
		for key := range must {
			if !seen[key] {
				t.Fatalf("entry %s is lost", key)
			}
		}
	}
}

func TestTheSpoolAgreesWithAModelOverFaultsAndCrashes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{root: t.TempDir(), kept: map[string]bool{}, maybe: map[string]bool{}, aside: map[string]bool{}}
		m.open(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"put": m.Put, "put more": m.Put, "take": m.Take, "settle": m.Settle, "settle more": m.Settle,
			"fault": m.Fault, "crash": m.Crash, "restart": m.Restart, "": m.Check,
		})
		_ = m.spool.Close()
	})
}
