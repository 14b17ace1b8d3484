package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// sending is what the flags of send say.
type sending struct {
	provider, secret, url, typ string
	set                        []string
	count                      int
	duplicate, forge, asJSON   bool
	skew                       time.Duration
}

func sendCommand(p Program) *cobra.Command {
	var f sending
	c := &cobra.Command{
		Use:   "send SOURCE",
		Short: "Post a correctly signed sample event, as its sender would",
		Long: `Post a sample event of a source of grapnel.yaml to its door, signed with the source's
newest secret. A provider that grapnel.yaml has no source for can be tried with --secret.

Exit code 0 means that every event was taken, or with --forge that every one was refused.`,
		Example: `  grapnel send zoom
  grapnel send zoom --type meeting.ended --set payload.object.topic='"Retrospective"'
  grapnel send zoom --duplicate
  grapnel send zoom --forge
  grapnel send zoom --skew -10m
  grapnel send stripe --secret whsec_test --url http://127.0.0.1:8080`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return p.send(c.Context(), args[0], f) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return provider.Names(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().StringVar(&f.provider, "provider", "", "preset to sample (default that of the source, else its name)")
	c.Flags().StringVar(&f.secret, "secret", "", "secret to sign with (default the newest of the source)")
	c.Flags().StringVar(&f.url, "url", "", "address of the receiver (default http://$GRAPNEL_LISTEN)")
	c.Flags().StringVar(&f.typ, "type", "", "event type (default the first sample of the provider)")
	c.Flags().StringArrayVar(&f.set, "set", nil, "PATH=VALUE: change the body; VALUE is JSON, or else a text")
	c.Flags().IntVar(&f.count, "count", 1, "how many different events to send")
	c.Flags().BoolVar(&f.duplicate, "duplicate", false, "send each event twice")
	c.Flags().BoolVar(&f.forge, "forge", false, "sign with another secret")
	c.Flags().DurationVar(&f.skew, "skew", 0, "sign at another time: -10m is ten minutes ago")
	c.Flags().BoolVar(&f.asJSON, "json", false, "write one JSON object per answer")
	return c
}

// letterbox is a door that samples are sent to.
type letterbox struct {
	preset   string
	verifier *verify.Verifier
	secret   verify.Secret
	// posted is the address that requests go to, signed the one that the sender
	// was told.
	posted, signed string
}

func (p Program) send(ctx context.Context, name string, f sending) error {
	box, err := p.letterbox(name, f)
	if err != nil {
		return err
	}
	if f.forge {
		box.secret.Value = forged(box.verifier.Profile().Key)
	}
	bad := false
	for range f.count {
		req, err := box.sample(f)
		if err != nil {
			return err
		}
		for range 1 + btoi(f.duplicate) {
			ok, err := p.post(ctx, req, f.asJSON)
			if err != nil {
				return err
			}
			bad = bad || ok == f.forge
		}
	}
	if bad {
		return errVerdict
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// letterbox finds out where to send to and how to sign.
func (p Program) letterbox(name string, f sending) (*letterbox, error) {
	env, err := config.LoadEnv(p.lookup)
	if err != nil {
		return nil, fmt.Errorf("environment:\n%w", err)
	}
	base := f.url
	if base == "" {
		base = "http://" + dialable(env.Listen)
	}
	box := &letterbox{preset: f.provider, posted: strings.TrimSuffix(base, "/") + "/webhooks/" + name}
	box.signed = box.posted
	cfg, err := config.Load(env.Config, p.lookup)
	if err == nil && cfg.Sources[name] != nil {
		s := cfg.Sources[name]
		box.preset, box.verifier = s.Provider, s.Verifier
		if s.URL != "" {
			box.signed = s.URL
		}
		if secrets := s.Credentials(); len(secrets) > 0 {
			box.secret = secrets[0]
		}
	} else if f.secret == "" {
		if err != nil {
			return nil, fmt.Errorf("configuration:\n%w", err)
		}
		return nil, fmt.Errorf("%s has no source %q; add it there, or give --secret to try a provider", env.Config, name)
	}
	if f.secret != "" {
		box.secret.Value = f.secret
	}
	return box, box.complete(name, f)
}

// complete finds the preset where the configuration has none.
func (b *letterbox) complete(name string, f sending) error {
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
		return &usageError{fmt.Errorf("no provider %q; 'grapnel providers' lists them, --provider names one", b.preset)}
	}
	v, err := profile.Compile()
	b.verifier = v
	return err
}

// dialable is a listener's address as one on this machine dials it.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// sample makes a signed request of one new event.
func (b *letterbox) sample(f sending) (*verify.Request, error) {
	at := time.Now().Add(f.skew)
	sample, err := newSample(b.preset, b.verifier.Profile(), f.typ, at)
	if err != nil {
		return nil, &usageError{err}
	}
	if sample.Body, err = setPaths(sample.Body, f.set); err != nil {
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

// newSample makes an event of any type: one that the preset has no sample of is
// made from its first.
func newSample(preset string, profile verify.Profile, typ string, at time.Time) (provider.Sample, error) {
	seed := rand.Text()
	for _, known := range provider.Types(preset) {
		if typ == "" || typ == known {
			return provider.NewSample(preset, typ, seed, at)
		}
	}
	s, err := provider.NewSample(preset, "", seed, at)
	if err != nil || typ == "" {
		return s, err
	}
	switch kind, where, _ := strings.Cut(profile.Identity.Type, ":"); kind {
	case "body":
		quoted, _ := json.Marshal(typ)
		s.Body, err = setPaths(s.Body, []string{where + "=" + string(quoted)})
	case "header":
		s.Headers = map[string]string{where: typ}
	default:
		err = fmt.Errorf("events of %s name no type; leave --type out", preset)
	}
	return s, err
}

// post sends a request and prints the answer; ok is whether it was taken.
func (p Program) post(ctx context.Context, r *verify.Request, asJSON bool) (ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return false, &usageError{err}
	}
	for _, name := range r.Header.Names() {
		req.Header[name] = r.Header.Values(name)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, fmt.Errorf("send: %w; is 'grapnel up' running?", err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	text = bytes.TrimSpace(text)
	if asJSON {
		line, err := json.Marshal(map[string]any{"status": res.StatusCode, "body": string(text)})
		if err != nil {
			return false, fmt.Errorf("write the answer: %w", err)
		}
		_, _ = fmt.Fprintf(p.Stdout, "%s\n", line)
	} else {
		_, _ = fmt.Fprintf(p.Stdout, "%d %s\n", res.StatusCode, text)
	}
	return res.StatusCode/100 == 2, nil
}
