package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/meeting"
)

// Bounds of settings whose reason lies outside this package.
const (
	// maxBody keeps an event and its envelope below Temporal's limit of 2 MB for one payload.
	maxBody Size = 3 << 19
	// minRetention is the shortest retention that Temporal accepts.
	minRetention = 24 * time.Hour
	// minCompress is above the size of what people and our own tools read of every event: memo
	// and summary stay uncompressed, only bodies are compressed.
	minCompress Size = 1 << 10
	// maxBudget leaves the disk and the network some of the second in which a request has to be
	// answered.
	maxBudget = 900 * time.Millisecond
)

// validate checks what can't be told from a single value, and resolves the sources. Faults that
// decoding has reported are not reported again.
func (c *Config) validate() {
	c.numbers()
	c.listener()
	c.alerts()
	c.console()
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		s := c.Sources[name]
		path := joinPath("sources", name)
		if !isName(name) {
			c.read.fault(path, "a source's name is the last part of its address; use a-z, 0-9, - and _, at most 63, first a letter or digit")
		}
		s.Name = name
		c.source(s, path)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Destinations)) {
		d := c.Destinations[name]
		path := joinPath("destinations", name)
		if !isName(name) {
			c.read.fault(path, "a destination's name is part of its events' ids; use a-z, 0-9, - and _, at most 63, first a letter or digit")
		}
		d.Name = name
		d.Check(report{c, path})
	}
	for i, name := range c.Examples {
		if name != meeting.Example {
			c.read.fault(fmt.Sprintf("examples[%d]", i), "there is no such example; write examples: ["+meeting.Example+"], or []")
		}
	}
	c.history()
}

// report passes what the check of a destination finds on to the reading of the file.
type report struct {
	*Config

	at string
}

// Fault implements destination.Report.
func (r report) Fault(path, message string) { r.read.fault(r.path(path), message) }

// Given implements destination.Report.
func (r report) Given(path string) bool { return r.read.given(r.path(path)) }

// Broken implements destination.Report.
func (r report) Broken(path string) bool { return r.read.broken(r.path(path)) }

// Duration implements destination.Report.
func (r report) Duration(path string, d, low, high time.Duration) {
	r.duration(r.path(path), d, low, high)
}

// Count implements destination.Report.
func (r report) Count(path string, n, low, high int) { r.count(r.path(path), n, low, high) }

func (r report) path(path string) string {
	if path == "" {
		return r.at
	}
	return joinPath(r.at, path)
}

func (c *Config) numbers() {
	c.duration("retention", c.Retention, minRetention, 10*365*24*time.Hour)
	c.duration("dead_letters.keep", c.DeadLetters.Keep, 0, 100*365*24*time.Hour)
	c.duration("ack.budget", c.Ack.Budget, 50*time.Millisecond, maxBudget)
	c.duration("spool.max_age", c.Spool.MaxAge, time.Minute, 365*24*time.Hour)
	c.duration("timeouts.header", c.Timeouts.Header, 100*time.Millisecond, time.Minute)
	c.duration("timeouts.read", c.Timeouts.Read, 100*time.Millisecond, 5*time.Minute)
	c.duration("timeouts.write", c.Timeouts.Write, time.Second, 5*time.Minute)
	c.duration("timeouts.idle", c.Timeouts.Idle, time.Second, time.Hour)
	if c.Timeouts.Read < c.Timeouts.Header {
		c.read.fault("timeouts.read", "is the time for the whole request, its header included; make it at least timeouts.header")
	}
	if c.Spool.MaxBytes < 16<<20 {
		c.read.fault("spool.max_bytes", "must be at least 16MiB, room for a few events of the largest size")
	}
	if c.CompressFrom != 0 && (c.CompressFrom < minCompress || c.CompressFrom > maxBody) {
		c.read.fault("compress_from", fmt.Sprintf("must be between %s and %s, as 4KiB, or 0 to compress nothing; what is smaller costs more than it saves", minCompress, maxBody))
	}
	c.count("max_inflight", c.MaxInflight, 1, 100_000)
	c.count("max_requests", c.MaxRequests, 1, 1_000_000)
}

func (c *Config) duration(path string, d, low, high time.Duration) {
	if d < low || d > high {
		c.read.fault(path, fmt.Sprintf("must be between %s and %s", shortDuration(low), shortDuration(high)))
	}
}

func (c *Config) count(path string, n, low, high int) {
	if n < low || n > high {
		c.read.fault(path, fmt.Sprintf("must be between %d and %d", low, high))
	}
}

// listener checks the settings of the public listener.
func (c *Config) listener() {
	for i, p := range c.TrustedProxies {
		if p.IsValid() && p.Bits() == 0 {
			c.read.fault(fmt.Sprintf("trusted_proxies[%d]", i),
				"trusts every peer, so that anyone can claim any address; name your proxies' own networks")
		}
	}
	if c.TLS != nil {
		c.certificates()
	}
	if !c.RateStore.IsSet() {
		return
	}
	u, err := url.Parse(c.RateStore.Reveal())
	if err != nil || !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) || u.Scheme != "unix" && u.Hostname() == "" {
		c.read.fault("rate_store", "must be the URL of a Redis server, redis://host:6379/0, or rediss:// for TLS")
	}
}

// console checks the address of Prometheus. A fault does not quote it, because it may hold a
// password.
func (c *Config) console() {
	if c.Console.Prometheus == "" {
		return
	}
	fault := func(message string) { c.read.fault("console.prometheus", message) }
	u, err := url.Parse(c.Console.Prometheus)
	switch {
	case err != nil || !slices.Contains([]string{"http", "https"}, u.Scheme) || u.Hostname() == "":
		fault("must be the address of a Prometheus, as http://prometheus:9090")
	case u.User != nil:
		fault("must not hold a user or password, which everyone who reads this file would see; name a Prometheus that asks for none")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		fault("must end before the ? or #; the page asks /api/v1/query_range below it")
	}
}

// certificates reads the TLS files once, so that a wrong one is reported as a fault and not found
// by a failed handshake.
func (c *Config) certificates() {
	t := c.TLS
	if t.CertFile == "" || t.KeyFile == "" {
		for _, f := range []struct{ path, name string }{{"tls.cert_file", t.CertFile}, {"tls.key_file", t.KeyFile}} {
			if f.name == "" {
				c.read.fault(f.path, "is missing; TLS needs both cert_file and key_file")
			}
		}
		return
	}
	t.CertFile, t.KeyFile = c.read.beside(t.CertFile), c.read.beside(t.KeyFile)
	if _, err := t.pair(); err != nil {
		c.read.fault("tls.cert_file", "the certificate cannot be used with its key: "+err.Error())
	}
	if t.ClientCA == "" {
		return
	}
	t.ClientCA = c.read.beside(t.ClientCA)
	pem, _, err := readFile(t.ClientCA)
	switch {
	case err != nil:
		c.read.fault("tls.client_ca", err.Error())
	case !x509.NewCertPool().AppendCertsFromPEM(pem):
		c.read.fault("tls.client_ca", "the file holds no certificate in PEM form")
	}
}

func (t *TLS) pair() (tls.Certificate, error) {
	cert, _, err := readFile(t.CertFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, _, err := readFile(t.KeyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// isName tells whether a name can be that of a source or a destination. It becomes part of an
// address and of a route, so it has neither slash nor dot.
func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_') {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

// shortDuration writes a duration without its zero parts, and whole days as days.
func shortDuration(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if len(s) > len(zero) && s[len(s)-len(zero):] == zero {
			s = s[:len(s)-len(zero)+1]
		}
	}
	return s
}

// maxHistory is how many bytes of a workflow's history one event's bodies may fill. Temporal ends
// a workflow whose history passes 50 MB; the rest is for results and errors.
const maxHistory Size = 32 << 20

// history checks that a workflow's history has room for the bodies of one event: one for the
// start, one for each destination that may take it, and one for the dead letter.
func (c *Config) history() {
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		s, path := c.Sources[name], joinPath("sources", name)
		n := c.mostDestinations(name)
		room := Size(n+2) * s.MaxBody
		if room < maxHistory || c.read.broken(path) {
			continue
		}
		c.read.fault(joinPath(path, "max_body"), fmt.Sprintf("an event of %s that up to %d destinations take would fill %s of its "+
			"history, which must stay below %s; lower max_body or narrow the destinations' events", s.MaxBody, n, room, maxHistory))
	}
}

// mostDestinations gives an upper bound of how many destinations one event of a source can go to.
// For each destination that takes events of the source it counts those that may take the same
// ones.
func (c *Config) mostDestinations(source string) int {
	var taking []*destination.Spec
	for _, d := range c.Destinations {
		if slices.ContainsFunc(d.Events, func(p string) bool { return patternsOverlap(p, source+"/*") }) {
			taking = append(taking, d)
		}
	}
	most := 0
	for _, d := range taking {
		n := 0
		for _, other := range taking {
			if d == other || shareAny(d.Events, other.Events) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// Senders names, in order, the sources that can send an event which fits a source/type pattern.
func (c *Config) Senders(pattern string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		types := c.Sources[name].Events
		if len(types) == 0 {
			types = []string{"*"}
		}
		if slices.ContainsFunc(types, func(t string) bool { return patternsOverlap(pattern, name+"/"+t) }) {
			names = append(names, name)
		}
	}
	return names
}

func shareAny(a, b []string) bool {
	return slices.ContainsFunc(a, func(p string) bool {
		return slices.ContainsFunc(b, func(q string) bool { return patternsOverlap(p, q) })
	})
}

// patternsOverlap tells whether some text fits both patterns, in which * stands for any text.
func patternsOverlap(a, b string) bool {
	// row[j] tells whether the rest of a from i and that of b from j overlap, next
	// is the row of i+1. The last place of both stays false, beyond the end of b.
	row, next := make([]bool, len(b)+2), make([]bool, len(b)+2)
	for i := len(a); i >= 0; i-- {
		row, next = next, row
		for j := len(b); j >= 0; j-- {
			inA, inB := i < len(a), j < len(b)
			switch {
			case inA && a[i] == '*', inB && b[j] == '*':
				row[j] = next[j] || row[j+1]
			case inA && inB:
				row[j] = a[i] == b[j] && next[j+1]
			default:
				row[j] = !inA && !inB
			}
		}
	}
	return row[0]
}
