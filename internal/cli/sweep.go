package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/program"
	"github.com/grapnel/grapnel/internal/sweep"
)

func sweepCommand(p Program) *cobra.Command {
	c := &cobra.Command{
		Use:   "sweep",
		Short: "Ask a sender again for events that it could not deliver, once or by a schedule",
		Long: `Ask a sender again for events that it could not deliver. With --every a schedule of Temporal
does it, which goes on without this command; 'grapnel sweep list' shows the schedules.`,
	}
	p.addBelow(c, sweepGitHubCommand(p), sweepListCommand(p), sweepRemoveCommand(p))
	return c
}

// sweepOptions are what sweeps of all senders are told.
type sweepOptions struct {
	name, since string
	every       time.Duration
	dry, asJSON bool
}

func (o *sweepOptions) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.since, "since", "72h", "look so far back: 2h, 3d or a time")
	f.DurationVar(&o.every, "every", 0, "let a schedule do it so often, from now on, by the worker")
	f.StringVar(&o.name, "name", "", "name of the schedule; one of this name is changed (default made of the hook)")
	f.BoolVar(&o.dry, "dry-run", false, "list what would be asked for")
	f.BoolVar(&o.asJSON, "json", false, "write JSON")
}

func sweepGitHubCommand(p Program) *cobra.Command {
	var repo, org, hook, api string
	var app bool
	var o sweepOptions
	c := &cobra.Command{
		Use:   "github",
		Short: "Ask GitHub again for the events of a hook that it could not deliver",
		Long: `Ask GitHub again for the events of a repository's, an organisation's or an app's hook of
which no delivery succeeded. GitHub never does so by itself, and forgets deliveries after
three days. Events that came in are not asked for, and what comes in twice is a duplicate.

GITHUB_TOKEN is a token that may manage the hook. For an app's own hook set GITHUB_APP_ID
and GITHUB_APP_KEY_FILE, the file of its private key; or put a JWT of the app in
GITHUB_TOKEN. They stay in the environment: where a schedule sweeps (--every), the worker
needs them in its own.`,
		Example: `  grapnel sweep github --repo acme/shop --hook 1234567 --since 24h --dry-run
  grapnel sweep github --org acme --hook 1234567 --every 10m`,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case !app && repo == "" && org == "":
				return &usageError{errors.New("say whose hook it is: --repo owner/name, --org name or --app")}
			case app && (repo != "" || org != "" || hook != ""):
				return &usageError{errors.New("--app has one hook, its own; leave out --repo, --org and --hook")}
			}
			if _, err := sweep.GitHubPath(repo, org, hook); err != nil {
				return &usageError{err}
			}
			s := event.Sweep{Name: o.name, Sender: "github", Of: map[string]string{}}
			for name, value := range map[string]string{
				sweep.GitHubRepo: repo, sweep.GitHubOrg: org, sweep.GitHubHook: hook, sweep.GitHubAPI: api,
			} {
				if value != "" {
					s.Of[name] = value
				}
			}
			if app {
				s.Of[sweep.GitHubApp] = "true"
			}
			if s.Name == "" {
				s.Name = sweepName("github", repo, org, hook)
			}
			return p.sweep(c.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&repo, "repo", "", "the repository, as owner/name")
	f.StringVar(&org, "org", "", "the organisation")
	f.BoolVar(&app, "app", false, "the hook of an app")
	f.StringVar(&hook, "hook", "", "the number of the hook")
	f.StringVar(&api, "api", "", "the API's address, for GitHub Enterprise Server: https://host/api/v3")
	o.add(c)
	return c
}

// sweepName is the name of a schedule that nobody has named.
func sweepName(parts ...string) string {
	var all []string
	for _, part := range parts {
		if part != "" {
			all = append(all, strings.ReplaceAll(part, "/", "-"))
		}
	}
	if len(all) == 1 {
		all = append(all, "app")
	}
	return strings.Join(all, "-")
}

// sweep sweeps once, or has a schedule do it.
func (p Program) sweep(ctx context.Context, s event.Sweep, o sweepOptions) error {
	now := time.Now()
	since, err := timeOf(o.since, now)
	switch {
	case err != nil:
		return &usageError{fmt.Errorf("--since: %w", err)}
	case o.every == 0 && o.name != "":
		return &usageError{errors.New("--name names a schedule; say by --every how often it sweeps")}
	case o.every != 0 && o.dry:
		return &usageError{errors.New("--dry-run and --every exclude each other")}
	}
	if s.Back = now.Sub(since); o.every != 0 {
		return p.schedule(ctx, s, o)
	}
	sender, err := sweep.Open(s, p.Lookup)
	if err != nil {
		return &usageError{err}
	}
	r, err := sweep.Run(ctx, sender, sweep.Options{Since: since, Dry: o.dry, LongestWait: time.Hour})
	if err == nil || len(r.Failed) > 0 {
		if wrote := p.printSweep(r, o); wrote != nil {
			return wrote
		}
	}
	return err
}

func (p Program) printSweep(r sweep.Result, o sweepOptions) error {
	if o.asJSON {
		return p.writeJSON(r)
	}
	for _, f := range r.Failed {
		_, _ = fmt.Fprintf(p.Stdout, "%s  %s  %s  %s\n", shownTime(f.At), legible(f.ID), legible(f.Type), legible(f.Status))
	}
	if o.dry {
		_, _ = fmt.Fprintf(p.Stdout, "%s would be asked for again. Nothing was done.\n", countOf(len(r.Failed), "event"))
		return nil
	}
	_, _ = fmt.Fprintf(p.Stdout, "%s asked for again, %d left\n", countOf(r.Asked, "event"), r.Remaining)
	return nil
}

// schedules opens the sweeps that are scheduled. The caller calls done.
func (p Program) schedules(ctx context.Context) (s sweep.Schedules, done func(), err error) {
	c, _, err := p.Dial(ctx)
	if err != nil {
		return s, nil, err
	}
	return sweep.Schedules{Temporal: c, TaskQueue: p.taskQueue()}, c.Close, nil
}

func (p Program) schedule(ctx context.Context, s event.Sweep, o sweepOptions) error {
	all, done, err := p.schedules(ctx)
	if err != nil {
		return err
	}
	defer done()
	changed, err := all.Keep(ctx, s, o.every)
	if err != nil {
		return err
	}
	if o.asJSON {
		return p.writeJSON(map[string]any{"name": s.Name, "every": o.every.String(), "changed": changed})
	}
	what := "is scheduled"
	if changed {
		what = "was scheduled already and is changed"
	}
	_, _ = fmt.Fprintf(p.Stdout, "%s %s: every %s, by the worker; '%s' tells what it comes to\n", s.Name, what, o.every, program.Command("sweep list"))
	return nil
}

func sweepListCommand(p Program) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the sweeps that a schedule makes, with what they came to last",
		RunE: func(c *cobra.Command, _ []string) error {
			s, done, err := p.schedules(c.Context())
			if err != nil {
				return err
			}
			defer done()
			all, err := s.List(c.Context())
			switch {
			case err != nil:
				return err
			case asJSON:
				return p.writeJSON(map[string]any{"sweeps": all})
			case len(all) == 0:
				_, _ = fmt.Fprintln(p.Stdout, "No sweeps are scheduled.")
				return nil
			}
			t := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(t, "NAME\tSENDER\tEVERY\tBACK\tLAST\tNEXT\tCAME TO")
			for _, one := range all {
				came := fmt.Sprintf("%d failed, %d asked for again", one.Result.Failed, one.Result.Asked)
				switch {
				case one.Fault != "":
					came = event.Clean(one.Fault, 200)
				case one.Last.IsZero():
					came = "not made yet"
				}
				_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", one.Name, one.Sender, one.Every, one.Back.Round(time.Minute), shownTime(one.Last), shownTime(one.Next), came)
			}
			return t.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func sweepRemoveCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "End the schedule of a sweep",
		Args:  cobra.ExactArgs(1),
		ValidArgsFunction: func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			ctx, cancel := context.WithTimeout(c.Context(), 3*time.Second)
			defer cancel()
			s, done, err := p.schedules(ctx)
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			defer done()
			all, err := s.List(ctx)
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			var names []string
			for _, one := range all {
				names = append(names, one.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			s, done, err := p.schedules(c.Context())
			if err != nil {
				return err
			}
			defer done()
			if err := s.Remove(c.Context(), args[0]); err != nil {
				return err
			}
			_, _ = fmt.Fprintf(p.Stdout, "%s is removed; nothing sweeps by it any more\n", args[0])
			return nil
		},
	}
}
