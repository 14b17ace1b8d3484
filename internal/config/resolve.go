package config

import (
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// resolve merges a source's settings into its preset or verify block, and
// compiles the result.
func (c *Config) resolve(s *Source, path string) {
	p, ok := c.base(s, path)
	if !ok {
		return
	}
	p = merge(p, s)
	v, err := provider.Compile(p)
	if err != nil {
		c.refuse(s, path, err)
		return
	}
	if c.read.given(join(path, "tolerance")) && !v.Traits().Dated {
		c.read.fault(join(path, "tolerance"), "has no effect: this sender signs no time; remove the setting")
	}
	s.Verifier = v
	s.settle(v.Profile())
	c.checkSecrets(s, path)
}

// base is the profile that a source starts from.
func (c *Config) base(s *Source, path string) (p verify.Profile, ok bool) {
	r, at := c.read, join(path, "provider")
	switch {
	case s.Provider != "" && s.Verify != nil:
		r.fault(join(path, "verify"), "a source has a provider or a verify block, not both; remove one")
		return p, false
	case s.Verify != nil:
		return *s.Verify, !r.broken(join(path, "verify"))
	case s.Provider == "":
		if !r.broken(at) && !r.broken(join(path, "verify")) {
			r.fault(path, "says nothing of how its events are verified; add provider: NAME (grapnel providers lists them) or a verify block")
		}
		return p, false
	}
	p, ok = provider.Get(s.Provider)
	if !ok {
		text := fmt.Sprintf("there is no provider %q; grapnel providers lists those there are", shorten(s.Provider))
		if near := Nearest(s.Provider, provider.Names()); len(near) > 0 {
			text = fmt.Sprintf("there is no provider %q; did you mean %s?", shorten(s.Provider), strings.Join(near, " or "))
		}
		r.fault(at, text)
	}
	return p, ok
}

// merge puts a source's own settings in the place of its profile's.
func merge(p verify.Profile, s *Source) verify.Profile {
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
	id := &p.Identity
	override(&id.Type, s.Identity.Type)
	override(&id.ID, s.Identity.ID)
	override(&id.Subject, s.Identity.Subject)
	override(&id.Time, s.Identity.Time)
	override(&id.TimeFormat, s.Identity.TimeFormat)
	override(&p.Dedupe, string(s.Dedupe.Mode))
	if len(s.Dedupe.Fields) > 0 {
		p.Fields = nil
		for _, f := range s.Dedupe.Fields {
			p.Fields = append(p.Fields, verify.Field{Key: f.Key, From: f.Paths})
		}
	}
	return p
}

func override(to *string, with string) {
	if with != "" {
		*to = with
	}
}

// settle takes over what the compiled profile says of settings not given.
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

// checkSecrets checks that there is a secret where one is needed, that each is
// written as the profile says, and that credentials do not collide.
func (c *Config) checkSecrets(s *Source, path string) {
	p := s.Verifier.Profile()
	if s.BasicAuth != nil && (p.Algorithm == "basic" || p.Algorithm == "bearer") {
		c.read.fault(join(path, "basic_auth"), "cannot stand beside this sender's own credentials, which take the same header; "+
			"put them under secrets instead")
	}
	if len(s.Secrets) == 0 && !s.Verifier.Traits().Keyless && !c.read.broken(join(path, "secrets")) {
		text := "is missing; without a secret every event would be refused"
		if s.Provider != "" {
			text += "; grapnel providers " + s.Provider + " says where to find it"
		}
		c.read.fault(join(path, "secrets"), text)
	}
	for i, e := range s.Secrets {
		at := fmt.Sprintf("%s.secrets[%d]", path, i)
		if c.read.broken(at) {
			continue
		}
		if err := s.Verifier.DecodeKey(e.Value.Reveal()); err != nil {
			c.read.fault(at, fmt.Sprintf("%s (%s); copy it again from the sender, whole", err, p.Key))
		}
	}
}
