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
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/config"
)

const (
	// maxListBytes bounds a list; GitHub's /meta has some 200 KB.
	maxListBytes = 4 << 20
	// maxListed bounds the addresses of a list.
	maxListed = 100_000
	// listWithin bounds one reading of a list.
	listWithin = 15 * time.Second
)

// listReader reads lists from files and by HTTPS.
func listReader(transport http.RoundTripper) func(ctx context.Context, from, key string) (ranges, error) {
	client := &http.Client{
		Transport: transport, Timeout: listWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, from, key string) (ranges, error) {
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
	// Asked first, because opening a pipe would wait for its writer.
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

// parseList reads CIDRs and addresses: a line each, with comments after #, or in
// JSON a list of strings or an object with such a list as a member. All of them
// must be readable and there must be one, else the list is none: a half-read one
// would lock senders out.
func parseList(text []byte, key string) (ranges, error) {
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
			e = p.Masked().String() // Others' lists are not always tidy.
		}
		p, err := config.ParsePrefix(e)
		if err != nil {
			return nil, fmt.Errorf("entry %d of the list is no address: %w", i+1, err)
		}
		prefixes[i] = p
	}
	return newRanges(prefixes), nil
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

// newRanges puts prefixes in order and joins those that touch.
func newRanges(prefixes []netip.Prefix) ranges {
	all := make(ranges, 0, len(prefixes))
	for _, p := range prefixes {
		p = p.Masked()
		all = append(all, addressRange{p.Addr(), lastOf(p)})
	}
	slices.SortFunc(all, func(a, b addressRange) int { return a.first.Compare(b.first) })
	joined := all[:0]
	for _, r := range all {
		if n := len(joined); n > 0 && r.first.Compare(joined[n-1].last) <= 0 {
			if r.last.Compare(joined[n-1].last) > 0 {
				joined[n-1].last = r.last
			}
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b) // Of a length that addresses have.
	return last
}

// contain tells whether an address is in one of them.
func (r ranges) contain(a netip.Addr) bool {
	i, exact := slices.BinarySearchFunc(r, a, func(r addressRange, a netip.Addr) int { return r.first.Compare(a) })
	return exact || i > 0 && a.Compare(r[i-1].last) <= 0
}
