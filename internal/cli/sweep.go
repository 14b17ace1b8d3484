package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/sweep"
)

func sweepCommand(p Program) *cobra.Command {
	c := &cobra.Command{
		Use:   "sweep",
		Short: "Ask a sender again for events that it could not deliver",
	}
	p.addBelow(c, sweepGitHubCommand(p))
	return c
}

func sweepGitHubCommand(p Program) *cobra.Command {
	var repo, org, hook, base, since string
	var app, dry, asJSON bool
	var every time.Duration
	c := &cobra.Command{
		Use:   "github",
		Short: "Ask GitHub again for the events of a hook that it could not deliver",
		Long: `Ask GitHub again for the events of a repository's, an organisation's or an app's hook of
which no delivery succeeded. GitHub never does so by itself, and forgets deliveries after
three days. Events that came in are not asked for, and what comes in twice is a duplicate.

GITHUB_TOKEN is a token that may manage the hook; with --app it is a JWT of the app. With
--every it goes on and looks again so often; a token that expires needs a timer instead.`,
		Example: `  grapnel sweep github --repo acme/shop --hook 1234567 --since 24h --dry-run
  grapnel sweep github --org acme --hook 1234567 --every 10m`,
		RunE: func(c *cobra.Command, _ []string) error {
			token, _ := p.Lookup("GITHUB_TOKEN")
			switch {
			case token == "":
				return &usageError{errors.New("set GITHUB_TOKEN to a token that may manage the hook")}
			case !app && repo == "" && org == "":
				return &usageError{errors.New("say whose hook it is: --repo owner/name, --org name or --app")}
			case app && (repo != "" || org != "" || hook != ""):
				return &usageError{errors.New("--app has one hook, its own; leave out --repo, --org and --hook")}
			case every != 0 && every < time.Minute:
				return &usageError{errors.New("--every has to be a minute or more")}
			}
			path, err := sweep.GitHubPath(repo, org, hook)
			if err != nil {
				return &usageError{err}
			}
			github := &sweep.GitHub{Base: base, Path: path, Token: token}
			return p.sweep(c.Context(), github, sweepOptions{since: since, every: every, dry: dry, asJSON: asJSON})
		},
	}
	f := c.Flags()
	f.StringVar(&repo, "repo", "", "the repository, as owner/name")
	f.StringVar(&org, "org", "", "the organisation")
	f.BoolVar(&app, "app", false, "the app that the token is of")
	f.StringVar(&hook, "hook", "", "the number of the hook")
	f.StringVar(&base, "api", "", "the API's address, for GitHub Enterprise Server: https://host/api/v3")
	f.StringVar(&since, "since", "72h", "look so far back: 2h, 3d or a time")
	f.DurationVar(&every, "every", 0, "look again so often, until it is interrupted")
	f.BoolVar(&dry, "dry-run", false, "list what would be asked for")
	f.BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

type sweepOptions struct {
	since       string
	every       time.Duration
	dry, asJSON bool
}

func (p Program) sweep(ctx context.Context, s sweep.Sender, o sweepOptions) error {
	for {
		since, err := timeOrAgo(o.since, time.Now())
		if err != nil {
			return &usageError{fmt.Errorf("--since: %w", err)}
		}
		r, err := sweep.Run(ctx, s, since, o.dry)
		if err == nil || len(r.Failed) > 0 {
			if wrote := p.printSweep(r, o); wrote != nil {
				return wrote
			}
		}
		switch {
		case o.every == 0:
			return err
		case err != nil && ctx.Err() == nil:
			_, _ = fmt.Fprintf(p.Stderr, "grapnel: %v; trying again in %s\n", err, o.every)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.every):
		}
	}
}

func (p Program) printSweep(r sweep.Result, o sweepOptions) error {
	if o.asJSON {
		return p.writeJSON(r)
	}
	for _, f := range r.Failed {
		_, _ = fmt.Fprintf(p.Stdout, "%s  %s  %s  %s\n", f.At.UTC().Format(time.RFC3339), f.ID, f.Type, f.Status)
	}
	if o.dry {
		_, _ = fmt.Fprintf(p.Stdout, "%d events would be asked for again. Nothing was done.\n", len(r.Failed))
		return nil
	}
	_, _ = fmt.Fprintf(p.Stdout, "%d events asked for again, %d left\n", r.Asked, r.Remaining)
	return nil
}
