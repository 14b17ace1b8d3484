package starter

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/secret"
	"github.com/grapnel/grapnel/internal/verify"
)

// doorTable is what the receiver needs of one configuration: a door for each source, and what
// they share.
type doorTable struct {
	config *config.Config
	doors  map[string]*door
	// fetch gets the certificates and key sets that some verifiers need.
	fetch verify.Fetch
	// masker hides the configuration's secrets in what is logged.
	masker *secret.Masker
}

// door is the receiver's side of one source.
type door struct {
	source   *config.Source
	verifier *verify.Verifier
	secrets  []verify.Secret
	profile  verify.Profile
	// allow is nil where all clients may send.
	allow  *allowance
	limits *limits
	// unnamed warns of proxies that are not trusted.
	unnamed *unnamedPeers
	// trust verifies samples that are signed with this machine's development key; nil if the
	// source takes none.
	trust *provider.Trust
	// secretHeaders names the headers whose values are masked when a refusal is shown.
	secretHeaders []string
}

// newTable makes the doors of a configuration. old is the table that is in force; nil at the
// start.
func (s *Starter) newTable(c *config.Config, old *doorTable) (*doorTable, error) {
	fetch, err := newFetch(c, s.transport)
	if err != nil {
		return nil, fmt.Errorf("fetch certificates and keys: %w", err)
	}
	t := &doorTable{config: c, doors: make(map[string]*door, len(c.Sources)), fetch: fetch, masker: c.Masker()}
	allowed, unnamed := s.lists.allowances(c.Sources), newUnnamedPeers(s.log)
	for name, source := range c.Sources {
		d := &door{
			source: source, verifier: source.Verifier, secrets: source.Credentials(),
			profile: source.Profile(),
			allow:   allowed[name], limits: s.limits, unnamed: unnamed,
		}
		if old != nil && old.doors[name] != nil && reflect.DeepEqual(old.doors[name].profile, d.profile) {
			// The old verifier holds certificates and keys that were fetched.
			d.verifier = old.doors[name].verifier
		}
		if err := s.trust(d); err != nil {
			return nil, err
		}
		d.secretHeaders = slices.Clone(d.profile.Signature.Headers)
		if source.Token != nil {
			d.secretHeaders = append(d.secretHeaders, source.Token.Header)
		}
		t.doors[name] = d
	}
	return t, nil
}

// admit makes the checks for which the body is not needed.
func (d *door) admit(x *exchange) error {
	switch {
	case !d.verifier.Allows(x.ctx.Method()):
		return d.wrongMethod()
	case d.source.RequireHTTPS && !x.origin.https:
		return notHTTPS()
	}
	d.unnamed.look(x, d.source)
	if err := d.allow.admit(x.origin); err != nil {
		return err
	}
	if r := d.source.RateLimitIP; r.Rate > 0 {
		if g := d.limits.client(d.source.Name, x.origin.client, r); !g.ok {
			return tooManyOfIP(g.retry)
		}
	}
	return nil
}

// authenticate checks Basic and token credentials, where the source asks for them in addition to
// the signature. Both sides are hashed first, so that the time tells neither their length nor
// whether a user exists.
func (d *door) authenticate(x *exchange) error {
	equal := func(got, want string) bool {
		g, w := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
		return subtle.ConstantTimeCompare(g[:], w[:]) == 1
	}
	if b := d.source.BasicAuth; b != nil {
		want := base64.StdEncoding.EncodeToString([]byte(b.Username + ":" + b.Password.Reveal()))
		scheme, got, _ := strings.Cut(singleValue(x, fiber.HeaderAuthorization), " ")
		if !strings.EqualFold(scheme, "Basic") || !equal(strings.TrimSpace(got), want) {
			return badCredentials(basicChallenge)
		}
	}
	if t := d.source.Token; t != nil && !equal(singleValue(x, t.Header), t.Value.Reveal()) {
		return badCredentials("")
	}
	return nil
}

// singleValue gives the value of a header that comes exactly once, else an empty text.
func singleValue(x *exchange, name string) string {
	if values := x.framing.fields.Values(name); len(values) == 1 {
		return values[0]
	}
	return ""
}

// limit counts a verified request against the source's rate.
func (d *door) limit() error {
	if r := d.source.RateLimit; r.Rate > 0 {
		if g := d.limits.source(d.source.Name, r); !g.ok {
			return tooMany(g)
		}
	}
	return nil
}

// publicURL gives the URL that the sender was given, with the query of the request.
func (d *door) publicURL(x *exchange) string {
	base, r := d.source.URL, x.ctx.Request()
	if base == "" {
		scheme := "http"
		if x.origin.https {
			scheme = "https"
		}
		return scheme + "://" + x.origin.host + string(r.RequestURI())
	}
	if q := string(r.URI().QueryString()); q != "" && !strings.Contains(base, "?") {
		return base + "?" + q
	}
	return base
}
