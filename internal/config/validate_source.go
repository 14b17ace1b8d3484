package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// source checks one source and resolves its profile.
func (c *Config) source(s *Source, path string) {
	r := c.read
	switch s.Unmatched {
	case UnmatchedDeadLetter, UnmatchedIgnore:
	default:
		r.fault(join(path, "unmatched"), "must be dead_letter or ignore")
	}
	c.checkDedupe(s, path)
	if s.MaxBody < 1 || s.MaxBody > maxBody {
		r.fault(join(path, "max_body"), fmt.Sprintf("must be between 1B and %s: Temporal takes no payload over 2 MB, "+
			"and the event's attributes need their room; let the sender send less, or a link", maxBody))
	}
	if r.given(join(path, "ack_status")) && (s.AckStatus < 200 || s.AckStatus > 299) {
		r.fault(join(path, "ack_status"), "must be from 200 to 299; senders take any other as a failure and send again")
	}
	if s.Tolerance != nil && (*s.Tolerance < time.Second || *s.Tolerance > 24*time.Hour) {
		r.fault(join(path, "tolerance"), "must be between 1s and 1d")
	}
	if s.OrderBy != "" {
		r.fault(join(path, "order_by"), "ordered handling is not available yet; remove the setting")
	}
	for i, e := range s.Events {
		if strings.TrimSpace(e) == "" {
			r.fault(fmt.Sprintf("%s.events[%d]", path, i), "is empty; name an event type, or a pattern such as meeting.*")
		}
	}
	c.sourceSecrets(s, path)
	c.credentials(s, path)
	c.guards(s, path)
	c.resolve(s, path)
}

func (c *Config) checkDedupe(s *Source, path string) {
	switch s.Dedupe.Mode {
	case "", DedupeID, DedupeFields, DedupeBody, DedupeNone:
	default:
		c.read.fault(join(path, "dedupe"), "must be id, fields, body or none, or {fields: [...]} with fields of your own")
	}
}

func (c *Config) sourceSecrets(s *Source, path string) {
	for i, e := range s.Secrets {
		p := fmt.Sprintf("%s.secrets[%d]", path, i)
		if !e.Value.IsSet() && !c.read.broken(p) {
			c.read.fault(p, "is empty; an empty secret would accept forged events, so give it a value or remove it")
		}
		if !e.ValidFrom.IsZero() && !e.ValidUntil.IsZero() && !e.ValidFrom.Before(e.ValidUntil) {
			c.read.fault(join(p, "valid_until"), "must be after valid_from, else the secret never counts")
		}
	}
}

// credentials checks what is asked for beside the signature.
func (c *Config) credentials(s *Source, path string) {
	if b, p := s.BasicAuth, join(path, "basic_auth"); b != nil {
		switch {
		case b.Username == "" && !b.Password.IsSet() && !c.read.broken(p):
			s.BasicAuth = nil // As in the sample: both empty ask for nothing.
		case b.Username == "" || strings.Contains(b.Username, ":"):
			c.read.fault(join(p, "username"), "must be a name without a colon")
		case !b.Password.IsSet():
			c.read.fault(join(p, "password"), "is missing; give it a value, best by ${VARIABLE} or file:/path")
		}
	}
	if t, p := s.Token, join(path, "token"); t != nil {
		if !httpguts.ValidHeaderFieldName(t.Header) {
			c.read.fault(join(p, "header"), "must be the name of a header, as X-Webhook-Token")
		}
		if !t.Value.IsSet() {
			c.read.fault(join(p, "value"), "is missing; give it a value, best by ${VARIABLE} or file:/path")
		}
	}
}

// guards checks who may send and how fast.
func (c *Config) guards(s *Source, path string) {
	c.rate(s.RateLimit, join(path, "rate_limit"))
	c.rate(s.RateLimitIP, join(path, "rate_limit_ip"))
	p := join(path, "allow_ips")
	if s.AllowIPs.From != "" {
		c.allowFrom(&s.AllowIPs, p)
	}
	if s.AllowIPs.Refresh < time.Minute || s.AllowIPs.Refresh > 7*24*time.Hour {
		c.read.fault(join(p, "refresh"), "must be between 1m and 7d")
	}
	if s.URL == "" {
		return
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		c.read.fault(join(path, "url"), "must be the address the sender was given, as https://hooks.example.com/webhooks/name")
	}
}

// allowFrom checks where a list comes from, and leads a relative file to its
// place beside the configuration. Whether it is there is a warning only: what
// writes it may come later.
func (c *Config) allowFrom(a *AllowIPs, path string) {
	if name, ok := strings.CutPrefix(a.From, "file:"); ok && name != "" {
		a.From = "file:" + c.read.beside(name)
		return
	}
	u, err := url.Parse(a.From)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		c.read.fault(join(path, "from"), "must be file:/path or an https:// address; over plain http anyone could change the list")
	}
}

func (c *Config) rate(l Rate, path string) {
	if l.Rate < 0 || l.Rate > 1e6 {
		c.read.fault(join(path, "rate"), "must be the number of requests a second, from 0 (no limit) to 1000000")
	}
	if l.Burst < 0 || l.Burst > 1e6 {
		c.read.fault(join(path, "burst"), "must be from 0 (as many as rate) to 1000000")
	}
	if l.Rate == 0 && l.Burst > 0 {
		c.read.fault(join(path, "burst"), "has no effect without a rate; give rate too")
	}
}
