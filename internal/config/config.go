// Package config reads grapnel.yaml and the environment. It sets the defaults, decodes, and then
// validates. All faults are reported at once, each with its place in the file and a sentence that
// says what to do. Secrets are never printed, neither in a fault nor when the result is
// formatted.
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

// Config is grapnel.yaml as the program reads it: defaults filled in, presets merged, references
// resolved, everything checked. The program never writes to it.
type Config struct {
	// TrustedProxies are the networks of the proxies whose X-Forwarded and Forwarded headers are
	// believed.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// Sources are the senders, by the name at the end of the path to which they send.
	Sources map[string]*Source `yaml:"sources"`
	// Destinations are the targets to which events are delivered, by name.
	Destinations map[string]*destination.Spec `yaml:"destinations"`
	// Examples names the worked examples whose handlers take events too. There is one: meetings,
	// which keeps a ledger of each of Zoom's meetings.
	Examples []string `yaml:"examples"`
	// Retention is how long Temporal keeps an event after it is closed, and so how long a repeat
	// of it is known as a duplicate. It is at least a day.
	Retention time.Duration `yaml:"retention"`
	// DeadLetters says how long events that could not be handled are kept.
	DeadLetters DeadLetters `yaml:"dead_letters"`
	// CompressFrom is the size from which payloads are stored compressed, if that makes them
	// smaller. 0 compresses none.
	CompressFrom Size `yaml:"compress_from"`
	// Spool bounds the receiver's disk queue.
	Spool Spool `yaml:"spool"`
	// Ack bounds what a request may spend before its answer.
	Ack Ack `yaml:"ack"`
	// TLS is the certificate of the public listener. Without it the listener serves plain HTTP.
	TLS *TLS `yaml:"tls"`
	// MaxInflight is the most events that are being started in Temporal at once.
	MaxInflight int `yaml:"max_inflight"`
	// MaxRequests is the most verified requests in hand at once. Further ones get 503.
	MaxRequests int `yaml:"max_requests"`
	// Timeouts are the time-outs of the public listener.
	Timeouts Timeouts `yaml:"timeouts"`
	// RateStore is the URL of a Redis in which all replicas count rates and limits together; it
	// may hold a password. Without it each process counts for itself.
	RateStore Secret `yaml:"rate_store"`
	// Alerts holds the limits past which there is an alert, and says who is told.
	Alerts Alerts `yaml:"alerts"`
	// Console is about the operations page.
	Console Console `yaml:"console"`
	// Engine says how the embedded engine runs, where it is used.
	Engine Engine `yaml:"engine"`

	read *fileReading
}

// Spool bounds the receiver's disk queue.
type Spool struct {
	// MaxBytes is the most that the queue may hold. When it is full, senders get 503.
	MaxBytes Size `yaml:"max_bytes"`
	// MaxAge is the age of the oldest waiting event past which the queue takes no more.
	MaxAge time.Duration `yaml:"max_age"`
}

// Engine says how the embedded engine runs.
type Engine struct {
	// TrimVisibility drops or narrows those indexes of Temporal's visibility table that cost each
	// event more than they help a search. false keeps all of them.
	TrimVisibility bool `yaml:"trim_visibility"`
}

// Console is about the operations page.
type Console struct {
	// Prometheus is the address of a Prometheus that reads the metrics of all processes, such as
	// http://prometheus:9090. The page then plots what all of them did. Without it each process
	// plots its own figures.
	Prometheus string `yaml:"prometheus"`
}

// DeadLetters says how long events that could not be handled are kept.
type DeadLetters struct {
	// Keep is how long, from its first failure on, a dead letter is renewed whenever retention
	// would end it. 0 is for ever.
	Keep time.Duration `yaml:"keep"`
}

// Ack bounds the time in which a request is answered.
type Ack struct {
	// Budget is the time that all calls of Temporal for one request may take together. An event
	// whose start is unfinished then goes to the spool.
	Budget time.Duration `yaml:"budget"`
}

// TLS names the files of the public listener's certificate. They are read again when they change.
type TLS struct {
	// CertFile is a PEM file of the certificate and those of its issuers.
	CertFile string `yaml:"cert_file"`
	// KeyFile is a PEM file of the certificate's private key.
	KeyFile string `yaml:"key_file"`
	// ClientCA is a PEM file of certificate authorities. When it is given, clients must show a
	// certificate of one of them.
	ClientCA string `yaml:"client_ca"`
}

// Timeouts bound how long a slow client can keep a connection busy.
type Timeouts struct {
	// Header is the time for a request's header.
	Header time.Duration `yaml:"header"`
	// Read is the time for the whole request.
	Read time.Duration `yaml:"read"`
	// Write is the time for the answer.
	Write time.Duration `yaml:"write"`
	// Idle is how long a connection stays open without a request.
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

// NewSecret makes a Secret of a text.
func NewSecret(text string) Secret { return secret.New(text) }

// Load reads the file at path. lookup resolves ${VAR} references; it is usually os.LookupEnv. If
// the file could be read, the error is of type Faults.
func Load(path string, lookup func(string) (string, bool)) (*Config, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read, check GRAPNEL_CONFIG: %w", err)
	}
	return Parse(path, src, lookup)
}

// Parse does for a text what Load does for a file. name stands for the file in faults, and
// relative file: references start at its directory. The error is of type Faults and holds all of
// them.
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

// fingerprintRounds makes the fingerprint slow: whoever guesses at a secret, and compares
// fingerprints, needs some hundredths of a second for each guess.
const fingerprintRounds = 100_000

// Fingerprint gives twelve hex digits that are the same in all processes with the same resolved
// configuration, secrets included, and differ otherwise. Comments, order and notation do not
// count. It is slow by intent, so that it is no help in guessing a secret, and is made only once.
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

// canonical writes the configuration as one text, for the fingerprint. Encoding masks the secrets
// and leaves the sources' profiles out, so both are added.
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

// Summary says what is in force: a line for each source and destination, with secrets as set or
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

// orNever writes a size, and never for 0.
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

// hostOf gives scheme and host of a destination. Path and query may hold tokens.
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

// Masker gives a masker that hides every secret of the configuration in a text.
func (c *Config) Masker() *secret.Masker {
	var all []string
	for _, s := range c.read.secrets {
		all = append(all, s.Reveal())
	}
	return secret.NewMasker(all...)
}
