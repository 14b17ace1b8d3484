package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/eventlog"
)

// eventsFlags are the filter as the command line has it.
type eventsFlags struct {
	eventlog.Filter
	state, since, until string
	asJSON              bool
}

// eventsCommand shows events to those who don't leave the terminal.
func eventsCommand(p Program) *cobra.Command {
	c := &cobra.Command{
		Use:   "events",
		Short: "List events, show one, or follow them as they come",
		Long: `List events by source, type, subject, state and time, show all of one, or follow them as
they come. Temporal is asked; it keeps closed events as long as its retention says.`,
	}
	c.AddCommand(eventsList(p), eventsShow(p), eventsTail(p))
	return c
}

func (f *eventsFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.Source, "source", "", "only those of this source")
	c.Flags().StringVar(&f.Type, "type", "", "only those of this type; meeting.* takes all that begin so")
	c.Flags().StringVar(&f.Subject, "subject", "", "only those about this subject")
	c.Flags().StringVar(&f.Route, "route", "", "only dead letters that have this handler or destination left to do")
	c.Flags().StringVar(&f.Reason, "reason", "", "only dead letters for this reason")
	c.Flags().StringVar(&f.Error, "error", "", "only dead letters whose error holds this text")
	c.Flags().StringVar(&f.state, "state", "", "only those that are running, handled, dead, discarded or broken")
	c.Flags().BoolVar(&f.asJSON, "json", false, "write JSON lines")
	_ = c.RegisterFlagCompletionFunc("state", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var all []string
		for _, s := range eventlog.States() {
			all = append(all, string(s))
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	})
}

// filter is the filter that the flags say.
func (f *eventsFlags) filter(now time.Time) (eventlog.Filter, error) {
	out := f.Filter
	out.State = eventlog.State(f.state)
	if f.Route != "" || f.Reason != "" || f.Error != "" {
		out.State = eventlog.Dead
	}
	known := false
	for _, s := range eventlog.States() {
		known = known || out.State == s
	}
	if out.State != "" && !known {
		return out, &usageError{fmt.Errorf("there is no state %q; use running, handled, dead, discarded or broken", f.state)}
	}
	for _, one := range []struct {
		name, text string
		to         *time.Time
	}{{"--since", f.since, &out.Since}, {"--until", f.until, &out.Until}} {
		at, err := timeOf(one.text, now)
		if err != nil {
			return out, &usageError{fmt.Errorf("%s: %w", one.name, err)}
		}
		*one.to = at
	}
	return out, nil
}

// eventLog reads events over a client of the command's own.
func (p Program) eventLog(ctx context.Context) (*eventlog.Log, client.Client, error) {
	c, settings, err := p.Dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	dc := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), engine.NewCodec(0))
	return eventlog.New(c, settings.Namespace, dc), c, nil
}

// overEvents is the run of a command that reads its filter and then the events.
func (p Program) overEvents(
	f *eventsFlags, ask func(*cobra.Command, *eventlog.Log, eventlog.Filter) error,
) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error {
		filter, err := f.filter(time.Now())
		if err != nil {
			return err
		}
		log, closer, err := p.eventLog(c.Context())
		if err != nil {
			return err
		}
		defer closer.Close()
		return ask(c, log, filter)
	}
}

func eventsList(p Program) *cobra.Command {
	var f eventsFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List the latest events",
		Args:  cobra.NoArgs,
		RunE: p.overEvents(&f, func(c *cobra.Command, log *eventlog.Log, filter eventlog.Filter) error {
			rows, more, err := log.List(c.Context(), filter)
			if err != nil {
				return err
			}
			if err := printRows(c.OutOrStdout(), rows, f.asJSON); err != nil {
				return err
			}
			if more {
				_, _ = fmt.Fprintf(c.ErrOrStderr(), "There are more; --limit shows more of them.\n")
			}
			return nil
		}),
	}
	f.add(c)
	c.Flags().StringVar(&f.since, "since", "", "only those that began since then: 2h, 3d, 2026-01-31 or RFC 3339")
	c.Flags().StringVar(&f.until, "until", "", "only those that began before then")
	limitFlag(c.Flags(), &f.Limit, 50, "how many to list at the most")
	return c
}

// printRows writes a line for each event.
func printRows(w io.Writer, rows []eventlog.Row, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for _, r := range rows {
			if err := e.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		what := strings.TrimSpace(r.Subject)
		if r.State == eventlog.Dead {
			why := r.Reason
			if len(r.Routes) > 0 {
				why = strings.Join(r.Routes, ", ") + ": " + why
			}
			what = strings.TrimSpace(what + "  " + why)
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n",
			shownTime(r.Started), r.State, r.ID, r.Source, event.Attribute(r.Type), event.Clean(what, 120))
	}
	return t.Flush()
}

func eventsShow(p Program) *cobra.Command {
	var asJSON, body bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show all of one event: its routes, attempts, what it waits for, and its body",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id := strings.ToLower(args[0])
			if !eventlog.IsID(id) {
				return &usageError{errors.New("an event ID has 64 hexadecimal digits")}
			}
			log, closer, err := p.eventLog(c.Context())
			if err != nil {
				return err
			}
			defer closer.Close()
			f, err := log.Show(c.Context(), id)
			switch {
			case err != nil:
				return err
			case body:
				_, err = c.OutOrStdout().Write(f.Body)
				return err
			case asJSON:
				return printJSON(c.OutOrStdout(), f)
			}
			printEvent(c.OutOrStdout(), f, time.Now())
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.Flags().BoolVar(&body, "body", false, "write the body alone, its exact bytes")
	c.MarkFlagsMutuallyExclusive("json", "body")
	return c
}

func printEvent(w io.Writer, f *eventlog.Story, now time.Time) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	say("%s  %s", event.Clean(f.Event.Summary(), 200), f.State)
	say("event     %s", f.ID)
	if !f.Event.Received.IsZero() {
		say("received  %s, %s ago", shownTime(f.Event.Received), alert.Ago(now.Sub(f.Event.Received)))
	}
	say("body      %d bytes; --body writes them", len(f.Body))
	for _, r := range f.Routes {
		say("route     %s: %s", r.Name, routeLine(r, now))
		if r.Failure != "" {
			say("          last failure: %s", event.Clean(r.Failure, 400))
		}
	}
	for _, s := range f.Steps {
		text := s.Text
		if s.Route != "" {
			text = s.Route + ": " + text
		}
		say("%s  %s", shownTime(s.Time), event.Clean(text, 400))
		if s.Stack != "" {
			say("%s", legible(s.Stack))
		}
	}
	for _, r := range f.Runs {
		say("other run %s  %s  %s", shownTime(r.Started), r.State, r.Run)
	}
}

// routeLine says how far a route is: attempt n of m, and what it waits for.
func routeLine(r eventlog.RouteState, now time.Time) string {
	line := r.State
	if r.Attempt > 0 {
		line += fmt.Sprintf(", attempt %d", r.Attempt)
		if r.Attempts >= r.Attempt {
			line += fmt.Sprintf(" of %d", r.Attempts)
		}
	}
	switch {
	case r.Next.After(now):
		line += fmt.Sprintf(", the next one in %s, at %s: %s", alert.Ago(r.Next.Sub(now)), shownTime(r.Next), r.Why)
	case r.Why != "":
		line += ", waits for " + r.Why
	}
	return line
}

// tailEvery is how often tail asks.
const tailEvery = time.Second

func eventsTail(p Program) *cobra.Command {
	var f eventsFlags
	c := &cobra.Command{
		Use:   "tail",
		Short: "Follow events as they come and as they end, until Ctrl-C",
		Args:  cobra.NoArgs,
		RunE: p.overEvents(&f, func(c *cobra.Command, log *eventlog.Log, filter eventlog.Filter) error {
			return tailEvents(c, log, filter, f.asJSON)
		}),
	}
	f.add(c)
	return c
}

// tailBack is how far back tail looks each time: what Temporal lists is a while behind.
const tailBack = 30 * time.Second

// tailEvents prints each event once for each state that it is seen in, from now on.
func tailEvents(c *cobra.Command, log *eventlog.Log, f eventlog.Filter, asJSON bool) error {
	type sight struct {
		id, run string
		state   eventlog.State
	}
	// seen is when each was last listed; what is no longer listed need not be known.
	seen := map[sight]time.Time{}
	began := time.Now()
	f.Limit = 5000
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for {
		now := time.Now()
		f.Changed = now.Add(-tailBack)
		rows, more, err := log.List(c.Context(), f)
		if c.Context().Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		var fresh []eventlog.Row
		for _, row := range slices.Backward(rows) {
			k := sight{row.ID, row.Run, row.State}
			changed := row.Started
			if row.Ended.After(changed) {
				changed = row.Ended
			}
			if _, known := seen[k]; !known && !changed.Before(began.Add(-tailSlack)) {
				fresh = append(fresh, row)
			}
			seen[k] = now
		}
		maps.DeleteFunc(seen, func(_ sight, at time.Time) bool { return now.Sub(at) > tailBack })
		if err := printRows(c.OutOrStdout(), fresh, asJSON); err != nil {
			return err
		}
		if more {
			_, _ = fmt.Fprintln(c.ErrOrStderr(), "Events come faster than they can be followed; some were left out.")
		}
		select {
		case <-c.Context().Done():
			return nil
		case <-tick.C:
		}
	}
}

// tailSlack is how far back the first look shows, and how far the clocks of Temporal and of
// this machine may be apart.
const tailSlack = 10 * time.Second
