package config

import (
	"net/netip"
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
	// Retention is how long the engine keeps closed events: the window in which
	// duplicates are known. At least a day.
	Retention time.Duration `yaml:"retention"`
	// CompressFrom is the size from which payloads are stored compressed where
	// that is smaller; 0 is never.
	CompressFrom Size `yaml:"compress_from"`
	// Spool bounds the receiver's own disk queue.
	Spool Spool `yaml:"spool"`
	// Ack bounds what a request may spend before its answer.
	Ack Ack `yaml:"ack"`
	// TLS is the public listener's own; nil serves plain HTTP.
	TLS *TLS `yaml:"tls"`
	// MaxInflight is the most starts under way to the engine at once.
	MaxInflight int `yaml:"max_inflight"`
	// MaxRequests is the most requests in hand at once; more get 503.
	MaxRequests int `yaml:"max_requests"`
	// Timeouts are those of the public listener.
	Timeouts Timeouts `yaml:"timeouts"`
	// RateStore is the Redis URL of rate buckets that all replicas share; it may
	// hold a password. Not set: each process counts for itself.
	RateStore Secret `yaml:"rate_store"`

	read *reading
}

// Spool bounds the receiver's disk queue.
type Spool struct {
	// MaxBytes is the most the queue may hold; past it the answer is 503.
	MaxBytes Size `yaml:"max_bytes"`
	// MaxAge is the age of the oldest entry past which no more are taken.
	MaxAge time.Duration `yaml:"max_age"`
}

// Ack bounds the path of one request.
type Ack struct {
	// Budget is what all engine calls of a request together may take; what is
	// unfinished then goes to the spool.
	Budget time.Duration `yaml:"budget"`
}

// TLS names the files of the public listener's certificate, read again when
// they change.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ClientCA is a file of certificate authorities; when given, clients must
	// show a certificate of one of them.
	ClientCA string `yaml:"client_ca"`
}

// Timeouts bound what a slow client can hold on to.
type Timeouts struct {
	// Header is the time for a request's header, Read for all of the request.
	Header time.Duration `yaml:"header"`
	Read   time.Duration `yaml:"read"`
	Write  time.Duration `yaml:"write"`
	// Idle is how long a connection is kept for the next request.
	Idle time.Duration `yaml:"idle"`
}

// defaults is the configuration of an empty file.
func defaults() *Config {
	return &Config{
		Retention:   30 * 24 * time.Hour,
		Spool:       Spool{MaxBytes: 10 << 30, MaxAge: 3 * 24 * time.Hour},
		Ack:         Ack{Budget: 700 * time.Millisecond},
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
