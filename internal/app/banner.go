package app

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/program"
	"github.com/grapnel/grapnel/internal/telemetry"
)

// banner is what a process prints at its start: its addresses and its configuration.
type banner struct {
	Parts
	receiver net.Addr
	admin    string
	ui       string
	codec    string
	dataDir  string
}

func (b *banner) print(p *process) {
	if p.env.LogFormat == telemetry.FormatJSON {
		// A program that reads the log as JSON must find no other text in it.
		b.log(p)
		return
	}
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
		fmt.Fprintf(&s, "Try it in another terminal:\n  %s\n", program.Command("send "+sources[0]))
	}
	s.WriteString("Ctrl-C stops it.\n")
	_, _ = fmt.Fprint(p.out, s.String())
}

// log writes the banner as one line of the log. It leaves out the codec's address, which holds a
// key.
func (b *banner) log(p *process) {
	fields := []zap.Field{
		zap.String("version", Version()), zap.String("temporal", p.settings.Address), zap.String("namespace", p.settings.Namespace),
		zap.String("admin", b.admin),
	}
	for _, f := range [][2]string{{"web_ui", b.ui}, {"data", b.dataDir}} {
		if f[1] != "" {
			fields = append(fields, zap.String(f[0], f[1]))
		}
	}
	if b.receiver != nil {
		fields = append(fields, zap.String("receiver", ReceiverURL(p.config, b.receiver.String())+"/webhooks/"),
			zap.Strings("sources", slices.Sorted(maps.Keys(p.config.Sources))))
	}
	if b.Worker {
		fields = append(fields, zap.String("task_queue", p.env.TaskQueue))
	}
	p.log.Info("grapnel is up", fields...)
}

// Dialable returns the address at which this machine reaches a listener: for one that listens on
// all addresses, that of loopback.
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

// ReceiverURL returns the URL of a receiver that listens on an address. The configuration says
// whether it uses TLS; nil means no TLS.
func ReceiverURL(c *config.Config, listen string) string {
	if c != nil && c.TLS != nil {
		return "https://" + Dialable(listen)
	}
	return "http://" + Dialable(listen)
}
