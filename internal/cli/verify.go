package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// verifyFlags is what the flags of verify say.
type verifyFlags struct {
	provider, source, url, now, vectors string
	secrets, params                     []string
	tolerance                           time.Duration
	asJSON                              bool
}

func verifyCommand(p Program) *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Judge a captured request offline, and say which step failed and what was signed",
		Long: `Judge a captured raw HTTP request: request line, headers, an empty line, the body, byte
for byte. FILE is - for standard input. The secret is given by --secret, or is that of
a source of grapnel.yaml with --source.

With --vectors, judge a file of test vectors instead, a line each; that is how a preset
is proven.

The event ID is the one that the receiver would give the event, in a source named as the
provider is, or as --source says. The same signature never gives two.

Exit code 0 means valid, 1 not valid, or that a verdict disagrees with the vectors.`,
		Example: `  grapnel verify --provider zoom --secret "$ZOOM_SECRET_TOKEN" request.txt
  grapnel verify --provider stripe --secret "$STRIPE_SECRET" --now 2026-01-02T15:04:05Z request.txt
  grapnel verify --source zoom -
  grapnel verify --vectors vectors.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if f.vectors != "" {
				return p.judgeVectors(f)
			}
			if len(args) != 1 {
				return &usageError{errors.New("name the file of the captured request, or - for standard input")}
			}
			return p.judge(c.Context(), args[0], f)
		},
	}
	c.Flags().StringVar(&f.provider, "provider", "", "preset to judge by")
	c.Flags().StringVar(&f.source, "source", "", "source of grapnel.yaml to judge by, with its secrets")
	c.Flags().StringArrayVar(&f.secrets, "secret", nil, "secret to judge by; may be repeated")
	c.Flags().StringArrayVar(&f.params, "param", nil, "NAME=VALUE: a setting that the preset asks for")
	c.Flags().StringVar(&f.url, "url", "", "public URL that the sender was given (default that of the request)")
	c.Flags().StringVar(&f.now, "now", "", "time to judge at, unix seconds or RFC 3339 (default now; none: no window)")
	c.Flags().DurationVar(&f.tolerance, "tolerance", 0, "window around that time (default the preset's)")
	c.Flags().StringVar(&f.vectors, "vectors", "", "judge a JSON file of test vectors, or - for standard input")
	c.Flags().BoolVar(&f.asJSON, "json", false, "write JSON")
	return c
}

func (p Program) judge(ctx context.Context, file string, f verifyFlags) error {
	by, err := p.judgeBy(f)
	if err != nil {
		return err
	}
	o, err := f.options(ctx)
	if err != nil {
		return &usageError{err}
	}
	r, err := p.capture(file, f.url)
	if err != nil {
		return err
	}
	out, err := by.judge(r, o)
	if err != nil {
		return err
	}
	if err := p.writeRuling(out, f.asJSON); err != nil {
		return err
	}
	if !out.Valid {
		return errVerdict
	}
	return nil
}

func (p Program) writeRuling(r verdict, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(p.Stdout).Encode(r); err != nil {
			return fmt.Errorf("write the verdict: %w", err)
		}
		return nil
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(p.Stdout, format+"\n", args...) }
	switch {
	case r.Event != nil:
		say("valid: type %q, id %q", r.Event.Type, r.Event.ID)
		say("event ID: %s", r.EventID)
		if r.Bearer {
			say("the request proves that its sender knows the token, and nothing of what it carries")
		}
	case r.Events != nil:
		say("valid: a batch of %d events", len(r.Events))
		for _, e := range r.Events {
			say("event ID: %s, type %q, id %q", e.EventID, e.Type, e.Event.ID)
		}
	case r.Valid:
		say("valid: %s", r.Detail)
	default:
		say("not valid: %s, at step %s: %s", r.Reason, r.Step, r.Detail)
	}
	if r.Signed != "" {
		say("signed, %d bytes: %s", len(r.Signed), strconv.Quote(r.Signed))
	}
	return nil
}
