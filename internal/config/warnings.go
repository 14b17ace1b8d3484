package config

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/netguard"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// DevelopmentSecret is the secret in the example grapnel.yaml. Everyone knows it.
const DevelopmentSecret = "grapnel-development-secret" //nolint:gosec // Published on purpose, and warned about.

// minSecret is the length in bytes below which a secret is easy to guess.
const minSecret = 16

// Warnings lists settings that are in force at this time and should be looked at, in the order of
// the file.
func (c *Config) Warnings(now time.Time) []Fault {
	w := &warnings{Config: c, now: now}
	if len(c.Sources) == 0 {
		w.warn("sources", "there is no source, so no event can come in; add one, as zoom: {provider: zoom, secrets: [...]}")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		s := c.Sources[name]
		w.source(s, joinPath("sources", name))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Destinations)) {
		w.destination(c.Destinations[name], joinPath("destinations", name))
	}
	w.retention()
	w.secrets()
	return w.found.sorted()
}

type warnings struct {
	*Config
	now   time.Time
	found Faults
}

func (w *warnings) warn(path, message string) {
	w.found = append(w.found, w.read.at(w.read.placeOf(path), path, message))
}

func (w *warnings) source(s *Source, path string) {
	p := s.Profile()
	w.signature(s, p, path)
	w.expired(s, path)
	if s.Development {
		w.warn(joinPath(path, "development"), "samples that this machine has signed count as events of the sender; don't use this with real events")
	}
	if s.Verify != nil && s.Dedupe.Mode == DedupeBody {
		w.warn(joinPath(path, "verify"), "events are told apart by their bodies alone; two events with the same body count as one, "+
			"so give dedupe: id or fields when the sender numbers its events, or none")
	}
	if s.Verifier.Traits().SignsURL && s.URL == "" {
		w.warn(path, "the signature covers the public URL, which is now taken from each request; set url to what the sender was given")
	}
	if s.BasicAuth != nil && !s.RequireHTTPS {
		w.warn(joinPath(path, "basic_auth"), "the password travels as it is; set require_https: true")
	}
	if s.Token != nil && !s.RequireHTTPS {
		w.warn(joinPath(path, "token"), "the token travels as it is; set require_https: true")
	}
	w.guards(s, path)
	if strings.HasPrefix(s.URL, "http://") {
		w.warn(joinPath(path, "url"), "the sender sends without TLS; give it an https:// address")
	}
}

// guards warns where nobody is let in.
func (w *warnings) guards(s *Source, path string) {
	if s.RequireHTTPS && w.TLS == nil && len(w.TrustedProxies) == 0 {
		w.warn(joinPath(path, "require_https"), "nothing shows that a request came over TLS, so all are refused; set tls, or trusted_proxies "+
			"if a proxy ends TLS")
	}
	if name, ok := strings.CutPrefix(s.AllowIPs.From, "file:"); ok {
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
			w.warn(joinPath(path, "allow_ips.from"), name+" is no file that can be read; until it is, only the addresses of cidrs are let in")
		}
	}
}

// expired warns of secrets whose time is over: a rotation is done, or was forgotten.
func (w *warnings) expired(s *Source, path string) {
	for i, e := range s.Secrets {
		if !e.ValidUntil.IsZero() && !w.now.Before(e.ValidUntil) {
			w.warn(fmt.Sprintf("%s.secrets[%d]", path, i), "this secret no longer counts, its valid_until has passed; remove it, "+
				"and make sure that the sender signs with another")
		}
	}
}

// signature warns of senders that sign nothing, and of a sender that signs for anybody.
func (w *warnings) signature(s *Source, p verify.Profile, path string) {
	if caution := s.Verifier.Traits().Caution; caution != "" {
		w.warn(path, caution)
	}
	switch p.Algorithm {
	case "token", "bearer", "basic":
		if !s.AllowIPs.Given() {
			w.warn(path, "this sender shows a token and signs nothing, so whoever has seen one request can send any other; "+
				"restrict it by allow_ips")
		}
		if !s.RequireHTTPS {
			w.warn(path, "this sender's token travels as it is; set require_https: true")
		}
	case "none":
		if s.BasicAuth == nil && s.Token == nil && !s.AllowIPs.Given() {
			w.warn(path, "anyone can send events here; ask for basic_auth or a token, or restrict it by allow_ips")
		}
	}
}

func (w *warnings) destination(d *destination.Spec, path string) {
	if d.Activity != nil && w.CompressFrom > 0 {
		w.warn(joinPath(path, "activity"), "compress_from is set, and what is compressed can be read only by a worker whose client has the SDK's zlib codec; "+
			"give it that codec, or set compress_from: 0")
	}
	if d.HTTP == nil {
		return
	}
	if u, err := url.Parse(d.HTTP.URL.Reveal()); err == nil && u.Scheme == "http" && !netguard.IsInner(u.Hostname()) {
		w.warn(joinPath(path, "http.url"), "events go there without TLS, readable by anyone on the way; use an https:// address")
	}
	if o := d.HTTP.OAuth2; o != nil {
		if u, err := url.Parse(o.TokenURL.Reveal()); err == nil && u.Scheme == "http" && !netguard.IsInner(u.Hostname()) {
			w.warn(joinPath(path, "http.oauth2.token_url"), "the client's secret goes there without TLS, readable by anyone on the way; use an https:// address")
		}
	}
	if len(d.HTTP.Secrets) == 0 {
		w.warn(joinPath(path, "http"), "events are sent unsigned, so the receiver cannot tell them from forged ones; add secrets: [whsec_…]")
	}
}

// retention warns where Temporal forgets closed events while a destination may still be tried or
// a sender may still repeat them: a forgotten event is handled again.
func (w *warnings) retention() {
	for _, name := range slices.Sorted(maps.Keys(w.Destinations)) {
		if longest := w.Destinations[name].Retry.Total(); longest > w.Retention {
			w.warn("retention", fmt.Sprintf("is %s, shorter than the %s for which destination %s is tried; make it longer, or an event may be repeated that is still under way",
				shortDuration(w.Retention), shortDuration(longest.Round(time.Minute)), name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.Sources)) {
		preset, ok := provider.Lookup(w.Sources[name].Provider)
		if longest := repeatsFor(preset.Verify.Docs.Retries); ok && longest > w.Retention {
			w.warn("retention", fmt.Sprintf("is %s, shorter than the %s for which the sender of %s repeats an event; make it longer, or a late repeat is handled twice",
				shortDuration(w.Retention), shortDuration(longest), name))
		}
	}
}

// spanPattern finds lengths of time in what a preset says about its sender's repeats.
var spanPattern = regexp.MustCompile(`(\d+) (days|h|min)\b`)

// repeatsFor gives the longest of these: for how long a sender repeats an event.
func repeatsFor(said string) (longest time.Duration) {
	units := map[string]time.Duration{"days": 24 * time.Hour, "h": time.Hour, "min": time.Minute}
	for _, span := range spanPattern.FindAllStringSubmatch(said, -1) {
		n, err := strconv.Atoi(span[1])
		if err == nil {
			longest = max(longest, time.Duration(n)*units[span[2]])
		}
	}
	return longest
}

// secrets warns of secrets that everyone knows, that are short, that several sources share, or
// that others on the machine can read.
func (w *warnings) secrets() {
	first := map[string]string{}
	for _, path := range slices.Sorted(maps.Keys(w.read.secrets)) {
		text := w.read.secrets[path].Reveal()
		source, ok := w.sourceOf(path)
		if !ok {
			continue
		}
		switch {
		case text == DevelopmentSecret:
			w.warn(path, "this is the example's secret, which everyone knows; put the sender's own in its place before any event is real")
			continue
		case len(text) < minSecret && !w.Sources[source].Verifier.Traits().Public:
			w.warn(path, fmt.Sprintf("this secret has %d bytes; under %d it can be guessed from one captured event", len(text), minSecret))
		}
		if other, shared := first[text]; shared && other != source {
			w.warn(path, "source "+other+" has the same secret, so an event of one could be sent to the other; give each its own")
		} else if !shared {
			first[text] = source
		}
		if name, ok := strings.CutPrefix(text, "$"); ok && w.read.written[path] && isVariable(name) {
			w.warn(path, "this text itself is the secret, its dollar sign included; for the value of a variable write ${NAME}")
			continue
		}
		if w.read.written[path] && !w.Sources[source].Verifier.Traits().Public {
			w.warn(path, "the secret stands in the file itself; name a variable, ${NAME}, or file:/path, and keep the file shareable")
		}
	}
	for _, path := range w.read.exposed {
		w.warn(path, "anyone on this machine can read the secret's file; chmod o-r it")
	}
}

// sourceOf gives the source whose signing secret stands at a path.
func (w *warnings) sourceOf(path string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(path, "sources.")
	name, rest, found := strings.Cut(rest, ".")
	return name, ok && found && strings.HasPrefix(rest, "secrets[")
}
