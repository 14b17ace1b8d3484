package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// sending is what the flags of send say.
type sending struct {
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
	var f sending
	c := &cobra.Command{
		Use:   "send SOURCE",
		Short: "Post a correctly signed sample event, as its sender would",
		Long: `Post a sample event of a source of grapnel.yaml to its door, signed with the source's
newest secret. A provider that grapnel.yaml has no source for can be tried with --secret.
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
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return provider.Names(), cobra.ShellCompDirectiveNoFileComp
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
	return c
}

func (p Program) send(ctx context.Context, name string, f sending) error {
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
func (b *letterbox) choose(f sending) (err error) {
	traits := b.verifier.Traits()
	switch {
	case f.forge:
		var other provider.KeyPair // that nobody was given
		other, err = provider.NewKeyPair(b.verifier.Profile())
		b.secret.Value = other.Signs
	case f.secret == "" && traits.Public && !traits.Coded:
		err = errors.New("the source's secret is a public key; give the private one that belongs to it with --secret")
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
		return false, unreached(err, r.URL)
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
