package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// sendFlags is what the flags of send say.
type sendFlags struct {
	provider, secret, url, typ string
	// ca, cert and key are files by which a receiver that serves TLS and its sender
	// know each other.
	ca, cert, key            string
	set                      []string
	count                    int
	duplicate, forge, asJSON bool
	skew                     time.Duration
}

func sendCommand(p Program) *cobra.Command {
	var f sendFlags
	c := &cobra.Command{
		Use:   "send SOURCE",
		Short: "Post a correctly signed sample event, as its sender would",
		Long: `Post a sample event of a source of grapnel.yaml to its door, signed with the source's
newest secret. A provider that grapnel.yaml has no source for can be tried with --secret.
Senders that sign with a key of their own are sampled where the source says development: true.
A receiver that serves TLS is spoken to by https, and the certificate that grapnel.yaml
names for it is trusted as it is.

Exit code 0 means that every event was taken, or with --forge that every one was refused.`,
		Example: `  grapnel send zoom
  grapnel send zoom --type meeting.ended --set payload.object.topic='"Retrospective"'
  grapnel send zoom --duplicate
  grapnel send zoom --forge
  grapnel send zoom --skew -10m
  grapnel send stripe --secret whsec_test --url http://127.0.0.1:8080`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return p.send(c.Context(), args[0], f) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return p.sendable(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().StringVar(&f.provider, "provider", "", "preset to sample (default that of the source, else its name)")
	c.Flags().StringVar(&f.secret, "secret", "", "secret to sign with (default the newest of the source)")
	c.Flags().StringVar(&f.url, "url", "", "address of the receiver (default $GRAPNEL_LISTEN, by https where grapnel.yaml sets tls)")
	c.Flags().StringVar(&f.ca, "ca", "", "PEM file of certificates to trust the receiver by, its own or its authority's (default that of grapnel.yaml, and the system's)")
	c.Flags().StringVar(&f.cert, "cert", "", "PEM file of the certificate to show a receiver that asks for one (client_ca)")
	c.Flags().StringVar(&f.key, "key", "", "PEM file of that certificate's key")
	c.Flags().StringVar(&f.typ, "type", "", "event type (default the first sample of the provider)")
	c.Flags().StringArrayVar(&f.set, "set", nil, "PATH=VALUE: change the body; VALUE is JSON, or else a text")
	c.Flags().IntVar(&f.count, "count", 1, "how many different events to send")
	c.Flags().BoolVar(&f.duplicate, "duplicate", false, "send each event twice")
	c.Flags().BoolVar(&f.forge, "forge", false, "sign with another secret")
	c.Flags().DurationVar(&f.skew, "skew", 0, "sign at another time: -10m is ten minutes ago")
	c.Flags().BoolVar(&f.asJSON, "json", false, "write one JSON object per answer")
	complete := func(flag string, of func(args []string) []string) {
		_ = c.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return of(args), cobra.ShellCompDirectiveNoFileComp
		}) // The flag is there.
	}
	complete("provider", func([]string) []string { return provider.Names() })
	complete("type", func(args []string) []string { return p.sendableTypes(args, f.provider) })
	return c
}

// sendable are the sources of the configuration; without one, the providers.
func (p Program) sendable() []string {
	_, cfg, err := p.Configuration()
	if err != nil || len(cfg.Sources) == 0 {
		return provider.Names()
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		names = append(names, name+"\t"+cfg.Sources[name].Profile().Docs.Title)
	}
	return names
}

// sendableTypes are the event types that there are samples of: of the preset of the source
// that the arguments name, or of the one that is named.
func (p Program) sendableTypes(args []string, preset string) []string {
	if preset == "" && len(args) > 0 {
		preset = args[0]
		if _, cfg, err := p.Configuration(); err == nil && cfg.Sources[preset] != nil {
			preset = cfg.Sources[preset].Provider
		}
	}
	return provider.Types(preset)
}

func (p Program) send(ctx context.Context, name string, f sendFlags) error {
	if f.count < 1 {
		return &usageError{fmt.Errorf("--count %d: send at least one", f.count)}
	}
	box, err := p.letterbox(name, f)
	if err != nil {
		return err
	}
	if err := box.choose(f); err != nil {
		return err
	}
	bad := false
	for range f.count {
		req, err := box.sample(f)
		if err != nil {
			return err
		}
		for range 1 + btoi(f.duplicate) {
			ok, err := p.post(ctx, box.client, req, f.asJSON)
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

// choose takes the secret to sign with.
func (b *letterbox) choose(f sendFlags) (err error) {
	switch {
	case f.forge:
		var other provider.KeyPair // that nobody was given
		other, err = provider.NewKeyPair(b.verifier.Profile())
		b.secret.Value = other.Signs
	case f.secret == "" && !b.development && provider.HasOwnKey(b.verifier):
		err = errors.New("this sender signs with a private key of its own; give development: true to the source, on a receiver " +
			"that listens on loopback, or the key that belongs to its public one with --secret")
	}
	return err
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// post sends a request and prints the answer; ok is whether it was taken.
func (p Program) post(ctx context.Context, client *http.Client, r *verify.Request, asJSON bool) (ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return false, &usageError{err}
	}
	for _, name := range r.Header.Names() {
		req.Header[name] = r.Header.Values(name)
	}
	res, err := client.Do(req)
	if err != nil {
		return false, explainUnreached(err, r.URL)
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
