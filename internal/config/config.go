// Package config reads grapnel.yaml and the environment. Both are taken in the
// order defaults, decode, validate, and every fault is reported at once, with
// the place it stands at and a sentence that says what to do. A secret is never
// printed, neither in a fault nor by any formatting of the result.
package config

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/secret"
)

// Config is grapnel.yaml, complete: defaults filled in, presets merged,
// references resolved and everything checked. It is read-only.
type Config struct {
	// TrustedProxies are the peers whose forwarding headers are believed.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// Sources are the senders we know, by the name of their door.
	Sources map[string]*Source `yaml:"sources"`
	// Destinations are the targets bound by configuration, by name.
	Destinations map[string]*destination.Spec `yaml:"destinations"`
	// Examples names the worked examples whose handlers take events too; there is
	// one, meetings, which keeps a ledger of each of Zoom's meetings.
	Examples []string `yaml:"examples"`
	// Retention is how long Temporal keeps closed events: the window in which
	// duplicates are known. At least a day.
	Retention time.Duration `yaml:"retention"`
	// DeadLetters says how long events that could not be handled are kept.
	DeadLetters DeadLetters `yaml:"dead_letters"`
	// CompressFrom is the size from which payloads are stored compressed where
	// that is smaller; 0 is never.
	CompressFrom Size `yaml:"compress_from"`
	// Spool bounds the receiver's own disk queue.
	Spool Spool `yaml:"spool"`
	// Ack bounds what a request may spend before its answer.
	Ack Ack `yaml:"ack"`
	// TLS is the public listener's own; without it that serves plain HTTP.
	TLS *TLS `yaml:"tls"`
	// MaxInflight is the most starts under way to Temporal at once.
	MaxInflight int `yaml:"max_inflight"`
	// MaxRequests is the most requests in hand at once; more get 503.
	MaxRequests int `yaml:"max_requests"`
	// Timeouts are those of the public listener.
	Timeouts Timeouts `yaml:"timeouts"`
	// RateStore is the Redis URL of rate buckets that all replicas share; it may
	// hold a password. Not set: each process counts for itself.
	RateStore Secret `yaml:"rate_store"`
	// Alerts say from what on somebody has to look, and who is told.
	Alerts Alerts `yaml:"alerts"`
	// Console is about the operations page.
	Console Console `yaml:"console"`
	// Engine says how the embedded engine runs, where that is what runs.
	Engine Engine `yaml:"engine"`

	read *fileReading
}

// Spool bounds the receiver's disk queue.
type Spool struct {
	// MaxBytes is the most the queue may hold; past it the answer is 503.
	MaxBytes Size `yaml:"max_bytes"`
	// MaxAge is the age of the oldest entry past which no more are taken.
	MaxAge time.Duration `yaml:"max_age"`
}

// Engine says how the embedded engine runs.
type Engine struct {
	// TrimVisibility drops or narrows the indexes of Temporal's visibility table that
	// cost an event more than they help anyone who searches; false keeps all of them.
	TrimVisibility bool `yaml:"trim_visibility"`
}

// Console is about the operations page.
type Console struct {
	// Prometheus is the address of a Prometheus that reads the metrics of all processes,
	// as http://prometheus:9090; the page then plots what all of them did. Not set: each
	// process plots its own.
	Prometheus string `yaml:"prometheus"`
}

// DeadLetters says how long events that could not be handled are kept.
type DeadLetters struct {
	// Keep is how long a dead letter is renewed when retention would end it, counted
	// from its first failure; 0 is for ever.
	Keep time.Duration `yaml:"keep"`
}

// Ack bounds the path of one request.
type Ack struct {
	// Budget is what all calls of Temporal for a request together may take; what is
	// unfinished then goes to the spool.
	Budget time.Duration `yaml:"budget"`
}

// TLS names the files of the public listener's certificate, read again when
// they change.
type TLS struct {
	// CertFile is a PEM file of the certificate, with those of its issuers.
	CertFile string `yaml:"cert_file"`
	// KeyFile is a PEM file of the certificate's private key.
	KeyFile string `yaml:"key_file"`
	// ClientCA is a file of certificate authorities; when given, clients must
	// show a certificate of one of them.
	ClientCA string `yaml:"client_ca"`
}

// Timeouts bound what a slow client can hold on to.
type Timeouts struct {
	// Header is the time for a request's header.
	Header time.Duration `yaml:"header"`
	// Read is the time for all of a request.
	Read time.Duration `yaml:"read"`
	// Write is the time for an answer.
	Write time.Duration `yaml:"write"`
	// Idle is how long a connection is kept for the next request.
	Idle time.Duration `yaml:"idle"`
}

// defaults is the configuration of an empty file.
func defaults() *Config {
	return &Config{
		Retention:   30 * 24 * time.Hour,
		Spool:       Spool{MaxBytes: 10 << 30, MaxAge: 3 * 24 * time.Hour},
		Ack:         Ack{Budget: 700 * time.Millisecond},
		Alerts:      defaultAlerts(),
		Engine:      Engine{TrimVisibility: true},
		MaxInflight: 256,
		MaxRequests: 1024,
		Timeouts: Timeouts{
			Header: 5 * time.Second, Read: 10 * time.Second,
			Write: 10 * time.Second, Idle: 60 * time.Second,
		},
	}
}

// Secret is a text that no formatting, encoding or logging shows.
type Secret = secret.Secret

// NewSecret hides a text.
func NewSecret(text string) Secret { return secret.New(text) }

// Load reads the file at path. lookup resolves ${VAR} references; os.LookupEnv
// is the usual one. The error is Faults when the file could be read.
func Load(path string, lookup func(string) (string, bool)) (*Config, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read, check GRAPNEL_CONFIG: %w", err)
	}
	return Parse(path, src, lookup)
}

// Parse is Load of a text; name stands for the file in faults, and relative
// file: references start at its directory. The error is Faults, all of them.
func Parse(name string, src []byte, lookup func(string) (string, bool)) (*Config, error) {
	r := newReading(name, lookup)
	c := defaults()
	c.read = r
	if root := r.parse(src); root != nil {
		r.structure(reflect.ValueOf(c).Elem(), root, "")
		if !r.faulty[tooLarge] {
			c.validate()
		}
	}
	if len(r.faults) > 0 {
		return nil, r.faults.sorted()
	}
	return c, nil
}

// fingerprintRounds makes each guess at a secret by way of a fingerprint cost
// some hundredths of a second.
const fingerprintRounds = 100_000

// Fingerprint is twelve hex digits that differ when the resolved configuration
// does, secrets included, and are the same in every process that has the same.
// Comments, order and ways of writing do not count. It is slow to make, so that
// it is no help in guessing a secret, and made once.
func (c *Config) Fingerprint() string { return c.read.fingerprint(c) }

// fingerprints makes a configuration's fingerprint when it is first asked for.
type fingerprints struct {
	once sync.Once
	text string
}

func (f *fingerprints) fingerprint(c *Config) string {
	f.once.Do(func() {
		key, err := pbkdf2.Key(sha256.New, c.canonical(), []byte("grapnel configuration"), fingerprintRounds, 6)
		if err == nil {
			f.text = hex.EncodeToString(key)
		}
	})
	return f.text
}

// canonical is the configuration as one text. Encoding masks secrets, so they
// are added by path; the profiles, which it leaves out, stand beside them.
func (c *Config) canonical() string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	write := func(v any) { _ = e.Encode(v) } // Of types that always encode.
	write(c)
	for _, hidden := range []map[string]Secret{c.read.secrets, c.read.contents} {
		for _, path := range slices.Sorted(maps.Keys(hidden)) {
			write([]string{path, hidden[path].Reveal()})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		write(c.Sources[name].Profile())
	}
	return b.String()
}

// Summary is what is in force, a line for each source and destination, with secrets as set or
// not set.
func (c *Config) Summary() string {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		s := c.Sources[name]
		how := s.Provider
		if how == "" {
			how = "own profile"
		}
		_, _ = fmt.Fprintf(t, "source %s\t%s\tsecrets %s\tdedupe %s\tmax body %s\tunmatched %s\n",
			name, how, countSet(len(s.Secrets)), s.Dedupe.Mode, s.MaxBody, s.Unmatched)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Destinations)) {
		d := c.Destinations[name]
		_, _ = fmt.Fprintf(t, "destination %s\t%s\tsecrets %s\tauth %s\tattempts %d\ttime-out %s\n",
			name, hostOf(d), signingText(d), authText(d), d.Retry.Attempts, shortDuration(d.Timeout()))
	}
	_, _ = fmt.Fprintf(t, "retention %s\tcompress from %s\ttls %t\trate store %s\n", shortDuration(c.Retention), orNever(c.CompressFrom), c.TLS != nil, c.RateStore)
	_ = t.Flush() // To memory, which takes everything.
	return text.String()
}

// orNever writes a size, and that there is none.
func orNever(s Size) string {
	if s == 0 {
		return "never"
	}
	return s.String()
}

func countSet(n int) string {
	if n == 0 {
		return "not set"
	}
	return fmt.Sprintf("set (%d)", n)
}

// signingText says whether deliveries are signed.
func signingText(d *destination.Spec) string {
	if d.HTTP == nil {
		return "not used"
	}
	return countSet(len(d.HTTP.Secrets))
}

// authText says how deliveries authenticate.
func authText(d *destination.Spec) string {
	if d.HTTP == nil {
		return "not used"
	}
	return d.HTTP.Auth()
}

// hostOf is where a destination is, without path and query: they may hold tokens.
func hostOf(d *destination.Spec) string {
	if d.HTTP == nil {
		return d.Where()
	}
	u, err := url.Parse(d.HTTP.URL.Reveal())
	if err != nil {
		return "http"
	}
	return u.Scheme + "://" + u.Host
}

// Masker hides every secret of the configuration in texts.
func (c *Config) Masker() *secret.Masker {
	var all []string
	for _, s := range c.read.secrets {
		all = append(all, s.Reveal())
	}
	return secret.NewMasker(all...)
}
