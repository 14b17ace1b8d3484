package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/netguard"
	"github.com/grapnel/grapnel/internal/program"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// source checks one source and resolves its profile.
func (c *Config) source(s *Source, path string) {
	r := c.read
	switch s.Unmatched {
	case UnmatchedDeadLetter, UnmatchedIgnore:
	default:
		r.fault(joinPath(path, "unmatched"), "must be dead_letter or ignore")
	}
	c.checkDedupe(s, path)
	if s.MaxBody < 1 || s.MaxBody > maxBody {
		r.fault(joinPath(path, "max_body"), fmt.Sprintf("must be between 1B and %s: Temporal takes no payload over 2 MB, "+
			"and the event's attributes need their room; let the sender send less, or a link", maxBody))
	}
	c.checkAck(s, path)
	c.checkKeepHeaders(s, path)
	if s.Tolerance != nil && (*s.Tolerance < time.Second || *s.Tolerance > 24*time.Hour) {
		r.fault(joinPath(path, "tolerance"), "must be between 1s and 1d")
	}
	if s.OrderBy != "" {
		r.fault(joinPath(path, "order_by"), "ordered handling is not available yet; remove the setting")
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

// maxAck bounds the body of an answer.
const maxAck = 64 << 10

const outsideAckStatus = "must be from 200 to 299; senders take any other as a failure and send again"

// checkAck checks the answer to accepted events, and sets its defaults.
func (c *Config) checkAck(s *Source, path string) {
	a, p := &s.Ack, joinPath(path, "ack")
	c.checkAckStatus(s, path)
	if a.Empty && a.Body != "" {
		c.read.fault(joinPath(p, "empty"), "can't be true beside a body; remove one of them")
	}
	if len(a.Body) > maxAck {
		c.read.fault(joinPath(p, "body"), fmt.Sprintf("is over %s; a sender wants an acknowledgement, not a page", Size(maxAck)))
	}
	switch {
	case a.ContentType == "" && json.Valid([]byte(a.Body)):
		a.ContentType = "application/json"
	case a.ContentType == "":
		a.ContentType = "text/plain; charset=utf-8"
	case a.Body == "":
		c.read.fault(joinPath(p, "content_type"), "has no effect without a body; give body too")
	case !httpguts.ValidHeaderFieldValue(a.ContentType):
		c.read.fault(joinPath(p, "content_type"), "must be a media type, as application/json or text/xml")
	}
}

// checkAckStatus checks the status of the answer to accepted events, which has two keys:
// ack.status and ack_status.
func (c *Config) checkAckStatus(s *Source, path string) {
	if c.read.given(joinPath(path, "ack_status")) && (s.AckStatus < 200 || s.AckStatus > 299) {
		c.read.fault(joinPath(path, "ack_status"), outsideAckStatus)
	}
	a, p := &s.Ack, joinPath(path, "ack.status")
	switch {
	case a.Status != 0 && (a.Status < 200 || a.Status > 299):
		c.read.fault(p, outsideAckStatus)
	case a.Status != 0 && s.AckStatus != 0 && a.Status != s.AckStatus:
		c.read.fault(p, "differs from ack_status, which says the same thing; remove one of them")
	case a.Status != 0:
		s.AckStatus = a.Status
	}
}

// checkKeepHeaders checks the names of the headers to keep.
func (c *Config) checkKeepHeaders(s *Source, path string) {
	for i, name := range s.KeepHeaders {
		at := fmt.Sprintf("%s[%d]", joinPath(path, "keep_headers"), i)
		switch plain := strings.ReplaceAll(name, "*", "x"); {
		case !httpguts.ValidHeaderFieldName(plain):
			c.read.fault(at, "must be the name of a header, or a pattern such as X-GitHub-*")
		case IsCredentialHeader(name):
			c.read.fault(at, "names a credential or a signature, which is never kept; remove it")
		}
	}
}

// IsCredentialHeader tells by a header's name whether it holds a credential or a signature.
func IsCredentialHeader(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"authorization", "cookie", "signature", "hmac", "secret", "password", "token"},
		func(word string) bool { return strings.Contains(name, word) })
}

func (c *Config) checkDedupe(s *Source, path string) {
	switch s.Dedupe.Mode {
	case "", DedupeID, DedupeFields, DedupeBody, DedupeSigned, DedupeNone:
	default:
		c.read.fault(joinPath(path, "dedupe"), "must be id, fields, body, signed or none, or {fields: [...]} with fields of your own")
	}
}

func (c *Config) sourceSecrets(s *Source, path string) {
	for i, e := range s.Secrets {
		p := fmt.Sprintf("%s.secrets[%d]", path, i)
		if !e.Value.IsSet() && !c.read.broken(p) {
			c.read.fault(p, "is empty; an empty secret would accept forged events, so give it a value or remove it")
		}
		if !e.ValidFrom.IsZero() && !e.ValidUntil.IsZero() && !e.ValidFrom.Before(e.ValidUntil) {
			c.read.fault(joinPath(p, "valid_until"), "must be after valid_from, else the secret never counts")
		}
	}
}

// credentials checks the credentials that are asked for in addition to the signature.
func (c *Config) credentials(s *Source, path string) {
	if b, p := s.BasicAuth, joinPath(path, "basic_auth"); b != nil {
		switch {
		case b.Username == "" && !b.Password.IsSet() && !c.read.broken(p):
			s.BasicAuth = nil // As in the sample: both empty ask for nothing.
		case b.Username == "" || strings.Contains(b.Username, ":"):
			c.read.fault(joinPath(p, "username"), "must be a name without a colon")
		case !b.Password.IsSet():
			c.read.fault(joinPath(p, "password"), "is missing; give it a value, best by ${VARIABLE} or file:/path")
		}
	}
	if t, p := s.Token, joinPath(path, "token"); t != nil {
		if !httpguts.ValidHeaderFieldName(t.Header) {
			c.read.fault(joinPath(p, "header"), "must be the name of a header, as X-Webhook-Token")
		}
		if !t.Value.IsSet() {
			c.read.fault(joinPath(p, "value"), "is missing; give it a value, best by ${VARIABLE} or file:/path")
		}
	}
}

// guards checks the settings of who may send and how fast.
func (c *Config) guards(s *Source, path string) {
	c.rate(s.RateLimit, joinPath(path, "rate_limit"))
	c.rate(s.RateLimitIP, joinPath(path, "rate_limit_ip"))
	p := joinPath(path, "allow_ips")
	if s.AllowIPs.From != "" {
		c.allowFrom(&s.AllowIPs, p)
	}
	if s.AllowIPs.Refresh < time.Minute || s.AllowIPs.Refresh > 7*24*time.Hour {
		c.read.fault(joinPath(p, "refresh"), "must be between 1m and 7d")
	}
	if s.URL == "" {
		return
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		c.read.fault(joinPath(path, "url"), "must be the address the sender was given, as https://hooks.example.com/webhooks/name")
	}
}

// allowFrom checks where a list of addresses is read, and completes a relative path. A file that
// is not there is only a warning: it may be written later.
func (c *Config) allowFrom(a *AllowIPs, path string) {
	if name, ok := strings.CutPrefix(a.From, "file:"); ok && name != "" {
		a.From = "file:" + c.read.beside(name)
		return
	}
	u, err := url.Parse(a.From)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		c.read.fault(joinPath(path, "from"), "must be file:/path or an https:// address; over plain http anyone could change the list")
	}
}

func (c *Config) rate(l Rate, path string) {
	if l.Rate < 0 || l.Rate > 1e6 {
		c.read.fault(joinPath(path, "rate"), "must be the number of requests a second, from 0 (no limit) to 1000000")
	}
	if l.Burst < 0 || l.Burst > 1e6 {
		c.read.fault(joinPath(path, "burst"), "must be from 0 (as many as rate) to 1000000")
	}
	if l.Rate == 0 && l.Burst > 0 {
		c.read.fault(joinPath(path, "burst"), "has no effect without a rate; give rate too")
	}
}

// resolve merges a source's own settings into its preset or verify block, and compiles the
// result.
func (c *Config) resolve(s *Source, path string) {
	p, ok := c.base(s, path)
	if !ok {
		return
	}
	p = mergeProfile(p, s)
	v, err := provider.Compile(p)
	if err != nil {
		c.refuse(s, path, err)
	}
	if err != nil || c.read.broken(joinPath(path, "verify")) {
		return
	}
	if c.read.given(joinPath(path, "tolerance")) && !v.Traits().Dated {
		c.read.fault(joinPath(path, "tolerance"), "has no effect: this sender signs no time; remove the setting")
	}
	s.Verifier = v
	s.settle(v.Profile())
	c.checkSecrets(s, path)
	c.checkDevelopment(s, path)
}

// checkDevelopment reports development: true where the configuration shows that others than this
// machine reach the receiver.
func (c *Config) checkDevelopment(s *Source, path string) {
	at := joinPath(path, "development")
	fault := func(why string) {
		c.read.fault(at, "is for a receiver that this machine alone reaches, and "+why+"; remove it")
	}
	switch u, err := url.Parse(s.URL); {
	case !s.Development:
	case !provider.HasOwnKey(s.Verifier):
		c.read.fault(at, "has no effect: '"+program.Command("send")+"' signs with the secret that this sender and its source share; remove it")
	case len(c.TrustedProxies) > 0:
		fault("trusted_proxies says that there are proxies before it")
	case c.TLS != nil || s.RequireHTTPS:
		fault("TLS says that it is for others")
	case s.URL != "" && (err != nil || !netguard.IsLoopback(u.Hostname())):
		fault("url is an address of elsewhere")
	}
}

// CheckDevelopment gives a fault for each source with development: true, unless the receiver
// listens on loopback.
func (c *Config) CheckDevelopment(listen string) error {
	if host, _, err := net.SplitHostPort(listen); err == nil && netguard.IsLoopback(host) {
		return nil
	}
	var faults Faults
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		if path := joinPath(joinPath("sources", name), "development"); c.Sources[name].Development {
			faults = append(faults, c.read.at(c.read.placeOf(path), path,
				"takes samples that this machine has signed, and is refused unless GRAPNEL_LISTEN is an address of loopback, as 127.0.0.1:8080"))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return faults
}

// base gives the profile of a source's preset, or its verify block.
func (c *Config) base(s *Source, path string) (p verify.Profile, ok bool) {
	r, at := c.read, joinPath(path, "provider")
	switch {
	case s.Provider != "" && s.Verify != nil:
		r.fault(joinPath(path, "verify"), "a source has a provider or a verify block, not both; remove one")
		return p, false
	case s.Verify != nil:
		return *s.Verify, true
	case s.Provider == "":
		if !r.broken(at) && !r.broken(joinPath(path, "verify")) {
			r.fault(path, "says nothing of how its events are verified; add provider: NAME ('"+program.Command("providers")+"' lists them) or a verify block")
		}
		return p, false
	}
	p, ok = provider.Get(s.Provider)
	if !ok {
		text := fmt.Sprintf("there is no provider %q; '%s' lists those there are", shortenText(s.Provider), program.Command("providers"))
		if near := Nearest(s.Provider, provider.Names()); len(near) > 0 {
			text = fmt.Sprintf("there is no provider %q; did you mean %s?", shortenText(s.Provider), strings.Join(near, " or "))
		}
		r.fault(at, text)
	}
	return p, ok
}

// mergeProfile replaces settings of a profile by the source's own.
func mergeProfile(p verify.Profile, s *Source) verify.Profile {
	params := make(map[string]string, len(p.Params)+len(s.Params))
	maps.Copy(params, p.Params)
	for name, value := range s.Params {
		params[name] = value.Reveal()
	}
	p.Params = params
	if s.Tolerance != nil {
		p.Timestamp.Past, p.Timestamp.Future = *s.Tolerance, *s.Tolerance
	}
	if s.AckStatus != 0 {
		p.Ack.Status = s.AckStatus
	}
	if s.Ack.Body != "" || s.Ack.Empty {
		p.Ack.Body, p.Ack.ContentType, p.Ack.Empty, p.Ack.Cases = s.Ack.Body, s.Ack.ContentType, s.Ack.Empty, nil
	}
	id := &p.Identity
	overrideText(&id.Type, s.Identity.Type)
	overrideText(&id.ID, s.Identity.ID)
	overrideText(&id.Subject, s.Identity.Subject)
	overrideText(&id.Time, s.Identity.Time)
	overrideText(&id.TimeFormat, s.Identity.TimeFormat)
	overrideText(&p.Dedupe, string(s.Dedupe.Mode))
	if len(s.Dedupe.Fields) > 0 {
		p.Fields = nil
		for _, f := range s.Dedupe.Fields {
			p.Fields = append(p.Fields, verify.Field{Key: f.Key, From: f.Paths})
		}
	}
	return p
}

func overrideText(to *string, with string) {
	if with != "" {
		*to = with
	}
}

// settle takes the values of settings that the file does not give from the compiled profile.
func (s *Source) settle(p verify.Profile) {
	s.Dedupe.Mode = DedupeMode(p.Dedupe)
	if s.Dedupe.Mode == "" {
		s.Dedupe.Mode = DedupeBody
	}
	if s.Dedupe.Mode == DedupeFields {
		s.Dedupe.Fields = nil
		for _, f := range p.Fields {
			s.Dedupe.Fields = append(s.Dedupe.Fields, event.Field{Key: f.Key, Paths: f.From})
		}
	}
	if s.AckStatus = p.Ack.Status; s.AckStatus == 0 {
		s.AckStatus = http.StatusOK
	}
}

// checkSecrets checks that there is a secret where one is needed, and that each has the form that
// the profile asks for.
func (c *Config) checkSecrets(s *Source, path string) {
	p := s.Verifier.Profile()
	if s.BasicAuth != nil && (p.Algorithm == "basic" || p.Algorithm == "bearer") {
		c.read.fault(joinPath(path, "basic_auth"), "cannot stand beside this sender's own credentials, which take the same header; "+
			"put them under secrets instead")
	}
	needed := !s.Verifier.Traits().Keyless && (!s.Development || s.Verifier.Traits().Fetches)
	if len(s.Secrets) == 0 && needed && !c.read.broken(joinPath(path, "secrets")) {
		text := "is missing; without a secret every event would be refused"
		if s.Provider != "" {
			text += "; '" + program.Command("providers "+s.Provider) + "' says where to find it"
		}
		c.read.fault(joinPath(path, "secrets"), text)
	}
	for i, e := range s.Secrets {
		at := fmt.Sprintf("%s.secrets[%d]", path, i)
		if c.read.broken(at) {
			continue
		}
		if err := s.Verifier.CheckSecret(e.Value.Reveal()); err != nil {
			c.read.fault(at, err.Error())
		}
	}
}

// refuse reports each fault that Compile found at the setting that it comes from. Where a part of
// a verify block could not be read, missing settings are not reported: they may stand in that
// part.
func (c *Config) refuse(s *Source, path string, err error) {
	var faults verify.Faults
	if !errors.As(err, &faults) {
		c.read.fault(path, err.Error())
		return
	}
	for _, f := range faults {
		at, own := c.origin(s, path, f.Field)
		switch {
		case c.read.broken(joinPath(path, "verify")) && !c.read.given(at):
		case own:
			c.read.fault(at, f.Text)
		default:
			c.read.fault(at, f.Field+": "+f.Text)
		}
	}
}

// origin gives the setting of the file from which a profile's field comes. own is false when it
// comes from the preset.
func (c *Config) origin(s *Source, path, field string) (at string, own bool) {
	mine := field
	switch {
	case field == "timestamp.past" || field == "timestamp.future":
		mine = "tolerance"
	case field == "ack.status":
		mine = "ack_status"
	case strings.HasPrefix(field, "fields") && c.read.given(joinPath(path, "dedupe.fields")):
		return joinPath(path, "dedupe."+field), true
	case strings.HasPrefix(field, "params.") && !c.read.given(joinPath(path, "verify."+field)):
		return joinPath(path, field), true
	case field == "identity.id" && !c.read.given(joinPath(path, field)):
		mine = "dedupe" // Whether an id must be signed depends on it.
	}
	if at = joinPath(path, mine); c.read.given(at) {
		return at, true
	}
	if s.Verify != nil {
		return joinPath(path, "verify."+field), true
	}
	return joinPath(path, "provider"), false
}
