package starter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go4.org/netipx"

	"github.com/grapnel/grapnel/internal/config"
)

// allowance says from which addresses events of a source may come.
type allowance struct {
	fixed *netipx.IPSet
	// from is a list that is read from elsewhere; nil if there is none.
	from *addressList
}

// admit refuses a client whose address is not allowed.
func (a *allowance) admit(o origin) error {
	switch {
	case a == nil:
		return nil
	case !o.known:
		return forbiddenIP()
	case a.fixed.Contains(o.client):
		return nil
	case a.from == nil:
		return forbiddenIP()
	}
	listed := a.from.ranges.Load()
	switch {
	case listed == nil:
		return noList()
	case listed.Contains(o.client):
		return nil
	}
	return forbiddenIP()
}

// addressLists holds the lists of addresses that are read from elsewhere. A list that a reload
// does not change keeps what was read last.
type addressLists struct {
	mu    sync.Mutex
	byKey map[listKey]*addressList
	// read reads a list.
	read  func(ctx context.Context, from, key string) (*netipx.IPSet, error)
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
	// ranges are the addresses of the last reading that succeeded; nil before that.
	ranges atomic.Pointer[netipx.IPSet]
	// again asks to read the list now.
	again chan struct{}
	// alive ends when no source uses the list any more.
	alive context.Context
	stop  context.CancelFunc
}

// allowances makes the allowance of each source. It begins to read new lists, reads the others
// again, and stops reading those that no source uses any more.
func (l *addressLists) allowances(sources map[string]*config.Source) map[string]*allowance {
	l.mu.Lock()
	defer l.mu.Unlock()
	given := map[string]*allowance{}
	kept := map[listKey]*addressList{}
	for name, s := range sources {
		if !s.AllowIPs.Given() {
			continue
		}
		a := &allowance{}
		var err error
		if a.fixed, err = addressSet(s.AllowIPs.CIDRs); err != nil {
			a.fixed = new(netipx.IPSet) // The configuration has no such prefix; if it had, nobody would be let in.
		}
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

// keep finds a list or begins to read a new one.
func (l *addressLists) keep(k listKey) *addressList {
	if old, ok := l.byKey[k]; ok {
		select {
		case old.again <- struct{}{}:
		default: // It is about to be read anyway.
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

// firstRetry is the delay after which a list that could not be read is read again. It
// doubles with each failure, up to the list's refresh time.
const firstRetry = 5 * time.Second

// watch reads a list again and again as long as a source uses it. When the list can't be read,
// what was read before stays in force.
func (l *addressLists) watch(it *addressList) {
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
				l.log.Info("list of addresses read", zap.String("from", it.from), zap.Int("ranges", len(r.Ranges())))
			}
			it.ranges.Store(r)
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

const (
	// maxListBytes is the most bytes of a list. GitHub's /meta has some 200 KB.
	maxListBytes = 4 << 20
	// maxListed is the most addresses in a list.
	maxListed = 100_000
	// listWithin bounds one reading of a list.
	listWithin = 15 * time.Second
)

// listReader reads lists from files and by HTTPS.
func listReader(transport http.RoundTripper) func(ctx context.Context, from, key string) (*netipx.IPSet, error) {
	client := &http.Client{
		Transport: transport, Timeout: listWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, from, key string) (*netipx.IPSet, error) {
		read := readListFile
		name, ok := strings.CutPrefix(from, "file:")
		if !ok {
			read = func(name string) ([]byte, error) { return fetchList(ctx, client, name) }
		}
		text, err := read(name)
		if err != nil {
			return nil, err
		}
		return parseList(text, key)
	}
}

func readListFile(name string) ([]byte, error) {
	// Stat comes first, because opening a pipe would wait for its writer.
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read the list: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read the list: %s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the list: %w", err)
	}
	defer func() { _ = f.Close() }()
	return readList(f)
}

func fetchList(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("fetch the list: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch the list: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch the list: the server answers %d, expected 200; redirects are not followed", res.StatusCode)
	}
	return readList(res.Body)
}

func readList(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxListBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the list: %w", err)
	case len(text) > maxListBytes:
		return nil, fmt.Errorf("the list is over %s", config.Size(maxListBytes))
	}
	return text, nil
}

// parseList reads CIDRs and addresses: a line each, with comments after #, or in JSON a
// list of strings or an object with such a list as a member. A list that is empty, or
// with an entry that can't be read, is refused as a whole: half a list would lock senders
// out.
func parseList(text []byte, key string) (*netipx.IPSet, error) {
	entries, err := entriesOf(bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff"))), key)
	switch {
	case err != nil:
		return nil, err
	case len(entries) == 0:
		return nil, errors.New("the list is empty")
	case len(entries) > maxListed:
		return nil, fmt.Errorf("the list has over %d entries", maxListed)
	}
	prefixes := make([]netip.Prefix, len(entries))
	for i, e := range entries {
		if p, err := netip.ParsePrefix(e); err == nil {
			e = p.Masked().String() // Some lists set bits past the prefix.
		}
		p, err := config.ParsePrefix(e)
		if err != nil {
			return nil, fmt.Errorf("entry %d of the list is no address: %w", i+1, err)
		}
		prefixes[i] = p
	}
	return addressSet(prefixes)
}

func entriesOf(text []byte, key string) (entries []string, err error) {
	switch {
	case bytes.HasPrefix(text, []byte("[")):
		err = json.Unmarshal(text, &entries)
	case bytes.HasPrefix(text, []byte("{")):
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil {
			return nil, fmt.Errorf("the list is no JSON: %w", err)
		}
		member, ok := object[key]
		if !ok {
			return nil, fmt.Errorf("the object has no member %q; set allow_ips.key", key)
		}
		err = json.Unmarshal(member, &entries)
	default:
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.TrimSpace(line); line != "" {
				entries = append(entries, line)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the list is not one of strings: %w", err)
	}
	return entries, nil
}

// addressSet makes a set of prefixes in which an address is found quickly.
func addressSet(prefixes []netip.Prefix) (*netipx.IPSet, error) {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		b.AddPrefix(p)
	}
	set, err := b.IPSet()
	if err != nil {
		return nil, fmt.Errorf("join the addresses: %w", err)
	}
	return set, nil
}
