package config

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/grapnel/grapnel/internal/destination"
)

// destination checks one destination. What it looks at by itself gets a place
// in the file; the destination's own constructor has the last word.
func (c *Config) destination(d *Destination, path string) {
	r := c.read
	if len(d.Events) == 0 {
		r.fault(join(path, "events"), "name what goes there, source/type with * for any text, as [\"zoom/meeting.*\"]")
	}
	for i, e := range d.Events {
		if !strings.Contains(e, "/") && e != "*" {
			r.fault(fmt.Sprintf("%s.events[%d]", path, i), "must be source/type, as zoom/meeting.* or zoom/*")
		}
	}
	c.retry(d, join(path, "retry"))
	for i, a := range d.AllowPrivate {
		if !isHostOrPrefix(a) {
			r.fault(fmt.Sprintf("%s.allow_private[%d]", path, i), "must be a host name, an address or a CIDR")
		}
	}
	if d.HTTP == nil {
		if !r.given(join(path, "activity")) && !r.broken(path) {
			r.fault(path, "says nothing of where events go; add http: {url: https://…}")
		}
		return
	}
	c.endpoint(d, join(path, "http"))
	if r.broken(path) {
		return
	}
	h, err := destination.New(d.Options())
	if err != nil {
		r.fault(join(path, "http"), err.Error())
		return
	}
	h.Close()
}

// Options are the destination as its client takes it, secrets revealed.
func (d *Destination) Options() destination.Options {
	o := destination.Options{
		Name: d.Name, URL: d.HTTP.URL.Reveal(), Timeout: d.HTTP.Timeout,
		AllowPrivate: d.AllowPrivate, Headers: make(map[string]string, len(d.HTTP.Headers)),
	}
	for _, s := range d.HTTP.Secrets {
		o.Secrets = append(o.Secrets, s.Reveal())
	}
	for name, v := range d.HTTP.Headers {
		o.Headers[name] = v.Reveal()
	}
	return o
}

func (c *Config) endpoint(d *Destination, path string) {
	r, h := c.read, d.HTTP
	c.endpointURL(d, join(path, "url"))
	c.duration(join(path, "timeout"), h.Timeout, 100*time.Millisecond, 10*time.Minute)
	for i, s := range h.Secrets {
		p := fmt.Sprintf("%s.secrets[%d]", path, i)
		key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(s.Reveal(), "whsec_"))
		if err != nil || len(key) < 24 || len(key) > 64 || !strings.HasPrefix(s.Reveal(), "whsec_") {
			r.fault(p, "must be whsec_ and base64 of 24 to 64 bytes; make one with: echo whsec_$(openssl rand -base64 32)")
		}
	}
	for name, v := range h.Headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v.Reveal()) {
			r.fault(path+".headers."+name, "is no HTTP header; a name has letters, digits and dashes, a value is one line")
		}
	}
}

func (c *Config) endpointURL(d *Destination, path string) {
	if !d.HTTP.URL.IsSet() {
		c.read.fault(path, "is missing; give the address to post events to")
		return
	}
	u, err := url.Parse(d.HTTP.URL.Reveal())
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		c.read.fault(path, "must be an address as https://crm.example.com/hooks")
		return
	}
	if host := u.Hostname(); isInner(host) && !allows(d.AllowPrivate, host) {
		c.read.fault(path, "leads to "+host+", an address inside the network; list it under allow_private when that is meant")
	}
}

// isInner tells whether a host is, by itself, a private, loopback or link-local
// address. Names are looked up, and checked again, when events are sent.
func isInner(host string) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		return host == "localhost" || strings.HasSuffix(host, ".localhost")
	}
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}

func allows(list []string, host string) bool {
	a, err := netip.ParseAddr(host)
	for _, entry := range list {
		if strings.EqualFold(entry, host) {
			return true
		}
		if p, bad := ParsePrefix(entry); bad == nil && err == nil && p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

func isHostOrPrefix(s string) bool {
	if _, err := ParsePrefix(s); err == nil {
		return true
	}
	return s != "" && !strings.ContainsAny(s, "/: ") && net.ParseIP(s) == nil && httpguts.ValidHostHeader(s)
}

// retry checks the attempts, and lets go of the default schedule when the file
// gives rests of another kind.
func (c *Config) retry(d *Destination, path string) {
	r, t := c.read, &d.Retry
	var other bool
	for _, key := range []string{"initial", "multiplier", "max"} {
		other = other || r.given(join(path, key))
	}
	if other && !r.given(join(path, "schedule")) {
		t.Schedule = nil
		if !r.given(join(path, "multiplier")) {
			t.Multiplier = 2
		}
	}
	c.count(join(path, "attempts"), t.Attempts, 1, 100)
	c.duration(join(path, "initial"), t.Initial, 100*time.Millisecond, 30*24*time.Hour)
	c.duration(join(path, "max"), t.Max, t.Initial, 30*24*time.Hour)
	if t.Multiplier != 0 && (t.Multiplier < 1 || t.Multiplier > 100) {
		r.fault(join(path, "multiplier"), "must be from 1 to 100, or 0 with a schedule")
	}
	if t.Jitter < 0 || t.Jitter > 0.5 {
		r.fault(join(path, "jitter"), "must be from 0 to 0.5, the part of a rest that it is spread over")
	}
	for i, rest := range t.Schedule {
		c.duration(fmt.Sprintf("%s.schedule[%d]", path, i), rest, 100*time.Millisecond, 30*24*time.Hour)
	}
}
