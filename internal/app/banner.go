package app

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/grapnel/grapnel/internal/config"
)

// banner says where everything is, and what is in force.
type banner struct {
	Parts
	receiver net.Addr
	admin    string
	ui       string
	codec    string
	dataDir  string
}

func (b *banner) print(p *process) {
	var s strings.Builder
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&s, "  %-9s %s\n", name, value)
		}
	}
	s.WriteString("grapnel is up\n")
	sources := slices.Sorted(maps.Keys(p.config.Sources))
	if b.receiver != nil {
		for _, name := range sources {
			row("receiver", ReceiverURL(p.config, b.receiver.String())+"/webhooks/"+name)
		}
	}
	row("Web UI", b.ui)
	row("Temporal", p.settings.Address+", namespace "+p.settings.Namespace)
	if b.Worker {
		row("worker", "task queue "+p.env.TaskQueue)
	}
	row("admin", b.admin+"  open it: the operations page")
	row("codec", b.codec)
	row("data", b.dataDir)
	s.WriteString("In force:\n")
	for line := range strings.Lines(p.env.Summary() + p.config.Summary()) {
		s.WriteString("  " + line)
	}
	if b.Receiver && len(sources) > 0 {
		fmt.Fprintf(&s, "Try it in another terminal:\n  grapnel send %s\n", sources[0])
	}
	s.WriteString("Ctrl-C stops it.\n")
	_, _ = fmt.Fprint(p.out, s.String())
}

// Dialable gives the address at which this machine reaches a listener: one that listens on every
// address is reached on loopback.
func Dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// ReceiverURL gives the URL of a receiver that listens on an address. The configuration, which may
// be nil, says whether it speaks TLS.
func ReceiverURL(c *config.Config, listen string) string {
	if c != nil && c.TLS != nil {
		return "https://" + Dialable(listen)
	}
	return "http://" + Dialable(listen)
}
