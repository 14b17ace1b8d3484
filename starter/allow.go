package starter

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
)

// allowance says which clients may send to a source.
type allowance struct {
	fixed ranges
	// from is the list that is read from elsewhere; nil: there is none.
	from *addressList
}

// admit tells whether a client may send.
func (a *allowance) admit(o origin) error {
	switch {
	case a == nil:
		return nil
	case !o.known:
		return forbiddenIP()
	case a.fixed.contain(o.client):
		return nil
	case a.from == nil:
		return forbiddenIP()
	}
	listed := a.from.ranges.Load()
	switch {
	case listed == nil:
		return noList()
	case listed.contain(o.client):
		return nil
	}
	return forbiddenIP()
}

// lists are the lists of addresses that are read from elsewhere. One that is
// still configured after a reload is kept with what was last read.
type lists struct {
	mu    sync.Mutex
	byKey map[listKey]*addressList
	// read reads a list.
	read  func(ctx context.Context, from, key string) (ranges, error)
	alive context.Context //nolint:containedctx // The lists are read until the receiver ends.
	log   *zap.Logger
}

type listKey struct {
	from, key string
	refresh   time.Duration
}

// addressList is one list, read again and again in the background.
type addressList struct {
	listKey
	// ranges are the last good ones; nil until there are any.
	ranges atomic.Pointer[ranges]
	// again asks for a reading now.
	again chan struct{}
	// alive ends when no source has the list any more.
	alive context.Context
	stop  context.CancelFunc
}

// take gives each source its allowance, starts reading the lists that are new,
// reads the others again, and stops reading what no source has any more.
func (l *lists) take(sources map[string]*config.Source) map[string]*allowance {
	l.mu.Lock()
	defer l.mu.Unlock()
	given := map[string]*allowance{}
	kept := map[listKey]*addressList{}
	for name, s := range sources {
		if !s.AllowIPs.Given() {
			continue
		}
		a := &allowance{fixed: newRanges(s.AllowIPs.CIDRs)}
		if from := s.AllowIPs.From; from != "" {
			k := listKey{from, s.AllowIPs.Key, s.AllowIPs.Refresh}
			if kept[k] == nil {
				kept[k] = l.keep(k)
			}
			a.from = kept[k]
		}
		given[name] = a
	}
	for k, old := range l.byKey {
		if kept[k] == nil {
			old.stop()
		}
	}
	l.byKey = kept
	return given
}

// keep finds a list or starts to read it.
func (l *lists) keep(k listKey) *addressList {
	if old, ok := l.byKey[k]; ok {
		select {
		case old.again <- struct{}{}:
		default: // It is asked already.
		}
		return old
	}
	it := &addressList{listKey: k, again: make(chan struct{}, 1)}
	for other, old := range l.byKey {
		if other.from == k.from && other.key == k.key {
			it.ranges.Store(old.ranges.Load())
		}
	}
	it.alive, it.stop = context.WithCancel(l.alive)
	go l.watch(it)
	return it
}

// firstRetry is when a list that could not be read is tried again; the time
// doubles up to the list's own.
const firstRetry = 5 * time.Second

// watch reads a list as long as a source has it. One that can't be read stays as
// it was.
func (l *lists) watch(it *addressList) {
	retry, failing := firstRetry, false
	for {
		next := it.refresh
		switch r, err := l.read(it.alive, it.from, it.key); {
		case it.alive.Err() != nil:
			return
		case err != nil:
			if !failing {
				l.log.Warn("a list of addresses can't be read; the last good one holds, and without one all are refused",
					zap.String("from", it.from), zap.Bool("have one", it.ranges.Load() != nil), zap.Error(err))
			}
			failing, next = true, min(retry, it.refresh)
			retry = min(2*retry, it.refresh)
		default:
			if failing || it.ranges.Load() == nil {
				l.log.Info("list of addresses read", zap.String("from", it.from), zap.Int("ranges", len(r)))
			}
			it.ranges.Store(&r)
			retry, failing = firstRetry, false
		}
		timer := time.NewTimer(next)
		select {
		case <-it.alive.Done():
		case <-timer.C:
		case <-it.again:
		}
		timer.Stop()
	}
}

// ranges are addresses in order, none in two of them.
type ranges []addressRange

type addressRange struct{ first, last netip.Addr }
