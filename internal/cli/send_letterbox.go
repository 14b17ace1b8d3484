package cli

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/program"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// letterbox is a door that samples are sent to.
type letterbox struct {
	preset   string
	verifier *verify.Verifier
	secret   verify.Secret
	// own are the secrets of the source.
	own []verify.Secret
	// development tells that the receiver trusts this machine's own key.
	development bool
	// posted is the address that requests go to, signed the one that the sender
	// was told.
	posted, signed string
	client         *http.Client
}

// letterbox finds out where to send to and how to sign.
func (p Program) letterbox(name string, f sendFlags) (*letterbox, error) {
	env, err := p.Environment()
	if err != nil {
		return nil, err
	}
	cfg, err := config.Load(env.Config, p.Lookup)
	posted, bad := doorAt(f.url, app.ReceiverURL(cfg, env.Listen), name)
	if bad != nil {
		return nil, bad
	}
	box := &letterbox{preset: f.provider, posted: posted, signed: posted}
	switch {
	case err == nil && cfg.Sources[name] != nil:
		if err := box.of(cfg.Sources[name], env, f); err != nil {
			return nil, err
		}
	case f.secret != "":
	case err != nil:
		return nil, fmt.Errorf("configuration:\n%w", err)
	default:
		return nil, fmt.Errorf("%s has no source %q; %sadd it there, or give --secret to try a provider",
			env.Config, name, didYouMean(name, slices.Sorted(maps.Keys(cfg.Sources))))
	}
	if f.secret != "" {
		box.secret.Value = f.secret
	}
	var own *config.TLS
	if cfg != nil {
		own = cfg.TLS
	}
	if box.client, err = f.client(own, box.posted); err != nil {
		return nil, err
	}
	return box, box.complete(name, f)
}

// of takes from a configured source what its sender was told: the address, and how to sign.
func (b *letterbox) of(s *config.Source, env config.Env, f sendFlags) (err error) {
	b.preset, b.verifier = s.Provider, s.Verifier
	if s.URL != "" {
		b.signed = s.URL
	}
	if b.own = s.Credentials(); len(b.own) > 0 {
		b.secret = b.own[0]
	}
	if b.development = s.Development && f.secret == "" && !f.forge; b.development {
		b.secret, err = developmentSecret(env, s, b.own)
	}
	return err
}

// developmentSecret is this machine's key, as a source's sender signs with it.
func developmentSecret(env config.Env, s *config.Source, own []verify.Secret) (verify.Secret, error) {
	dir := env.DataDir
	if dir == "" {
		dir = app.DefaultDataDir
	}
	key, err := provider.ReadDevelopment(dir)
	if err != nil {
		return verify.Secret{}, fmt.Errorf("%w; '%s' makes it in GRAPNEL_DATA_DIR when it starts, or takes the configuration over",
			err, program.Command("up"))
	}
	return key.Signs(s.Profile(), own)
}

// complete finds the preset where the configuration has none.
func (b *letterbox) complete(name string, f sendFlags) error {
	if f.provider != "" {
		b.preset = f.provider
	}
	if b.preset == "" && b.verifier == nil {
		b.preset = name
	}
	if b.verifier != nil {
		if b.preset == "" {
			b.preset = "generic-hmac" // a profile of the user's own: any body will do
		}
		return nil
	}
	profile, ok := provider.Get(b.preset)
	if !ok {
		return unknownProvider(b.preset)
	}
	v, err := provider.Compile(profile)
	b.verifier = v
	return err
}

// sample makes a signed request of one new event.
func (b *letterbox) sample(f sendFlags) (*verify.Request, error) {
	at := time.Now().Add(f.skew)
	sample, err := provider.Compose(b.preset, b.verifier.Profile(), f.typ, rand.Text(), at)
	if err != nil {
		return nil, &usageError{err}
	}
	if p := b.verifier.Profile(); p.JWT != nil && p.JWT.Each && len(b.own) > 0 {
		if err := sample.Set("value.0.clientState", b.own[0].Value); err != nil {
			return nil, fmt.Errorf("show the source's clientState: %w", err)
		}
	}
	if err := setPaths(&sample, f.set); err != nil {
		return nil, &usageError{err}
	}
	header := http.Header{}
	for k, v := range sample.Headers {
		header.Set(k, v)
	}
	if sample.ContentType != "" {
		header.Set("Content-Type", sample.ContentType)
	}
	r := &verify.Request{
		Method: sample.Method, URL: b.signed, Header: verify.HTTPHeader(header), Body: sample.Body,
	}
	signed, err := b.verifier.Sign(r, b.secret, at)
	if err != nil {
		return nil, fmt.Errorf("sign as %s: %w", b.preset, err)
	}
	for _, h := range signed.Headers {
		header.Set(h.Name, h.Value)
	}
	if len(signed.Body) > 0 {
		r.Body = signed.Body
	}
	r.URL = b.posted
	if _, query, ok := strings.Cut(signed.URL, "?"); ok {
		r.URL += "?" + query
	}
	return r, nil
}
