package config

import (
	"time"

	"github.com/grapnel/grapnel/internal/event"
)

// Destination is a target bound by configuration.
type Destination struct {
	// Name is its key in the file.
	Name string `yaml:"-"`
	// Events are source/type patterns of what it takes.
	Events []string `yaml:"events"`
	// HTTP is the endpoint that events are posted to.
	HTTP *HTTP `yaml:"http"`
	// Retry is when a failed delivery is tried again.
	Retry event.Retry `yaml:"retry"`
	// AllowPrivate names hosts, addresses and CIDRs that may be private,
	// loopback or link-local.
	AllowPrivate []string `yaml:"allow_private"`
}

// HTTP is an endpoint that takes Standard Webhooks.
type HTTP struct {
	// URL is kept like a secret: a path or query often holds a token.
	URL Secret `yaml:"url"`
	// Secrets sign each delivery, whsec_ and base64 of 24 to 64 bytes; several
	// make several signatures, so that the receiver can change over.
	Secrets []Secret `yaml:"secrets"`
	// Timeout is how long one attempt may take.
	Timeout time.Duration `yaml:"timeout"`
	// Headers are added to each delivery.
	Headers map[string]Secret `yaml:"headers"`
}

func (d *Destination) setDefaults() { d.Retry = defaultRetry() }

func (h *HTTP) setDefaults() { h.Timeout = 5 * time.Second }
