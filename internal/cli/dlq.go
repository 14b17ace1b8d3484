package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/program"
)

func dlqCommand(p Program) *cobra.Command {
	c := &cobra.Command{
		Use:   "dlq",
		Short: "Find, understand, replay, discard and move dead letters",
		Long: `Find, understand, replay, discard and move dead letters: events that could not be handled.

What is done to many at once is an operation, which goes on without this command:
see 'grapnel ops'.`,
	}
	p.addBelow(c, dlqListCommand(p), dlqShowCommand(p), dlqReplayCommand(p), dlqDiscardCommand(p), dlqExportCommand(p), dlqImportCommand(p))
	return c
}

// addBelow adds commands below another.
func (p Program) addBelow(c *cobra.Command, commands ...*cobra.Command) {
	p.add(c, "", commands...)
}

// letters opens the store of dead letters. The caller calls done.
func (p Program) letters(ctx context.Context) (s *deadletter.Store, done func(), err error) {
	c, settings, err := p.Dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	return deadletter.New(c, settings.Namespace, p.taskQueue()), c.Close, nil
}

// taskQueue is that of the worker which does what a command begins.
func (p Program) taskQueue() string {
	if queue, ok := p.Lookup("GRAPNEL_TASK_QUEUE"); ok && queue != "" {
		return queue
	}
	return "grapnel"
}

// overLetters is the run of a command that reads its filter and then the store.
func (p Program) overLetters(
	f *filterFlags, ask func(context.Context, *deadletter.Store, event.Filter) error,
) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error {
		filter, err := f.read(time.Now())
		if err != nil {
			return err
		}
		s, done, err := p.letters(c.Context())
		if err != nil {
			return err
		}
		defer done()
		return ask(c.Context(), s, filter)
	}
}

// filterFlags are the flags that say which dead letters are meant. reason is the
// name of the one for why they are dead.
type filterFlags struct {
	filter       event.Filter
	since, until string
}

func (f *filterFlags) add(p Program, c *cobra.Command, reason string) {
	fl := c.Flags()
	fl.StringVar(&f.filter.Source, "source", "", "only of this source; * stands for any text, here and below")
	fl.StringVar(&f.filter.Type, "type", "", "only of this event type")
	fl.StringVar(&f.filter.Subject, "subject", "", "only about this subject")
	fl.StringVar(&f.filter.Route, "route", "", "only those that this route is to do")
	fl.StringVar(&f.filter.Reason, reason, "", "only those that are dead for this reason, as 'dlq list --group-by reason' shows it")
	fl.StringVar(&f.filter.Error, "error", "", "only those whose error has this text in it")
	fl.StringVar(&f.since, "since", "", "only those that failed last at this time or later: 2h, 3d, 2026-11-26 or 2026-11-26T08:00:00Z")
	fl.StringVar(&f.until, "until", "", "only those that failed last before this time")
	limitFlag(fl, &f.filter.Limit, 0, "at most so many; 0 is all")
	for _, flag := range []struct{ name, key string }{{"source", "source"}, {"type", "type"}, {"route", "route"}, {reason, "reason"}} {
		_ = c.RegisterFlagCompletionFunc(flag.name, p.completeValues(flag.key)) // The flag was added above.
	}
}

// completeValues completes what dead letters have there now.
func (p Program) completeValues(key string) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(c.Context(), 3*time.Second)
		defer cancel()
		s, done, err := p.letters(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		defer done()
		listing, err := s.List(ctx, event.Filter{Limit: 2000})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var values []string
		for _, g := range deadletter.GroupBy(listing.Letters, key) {
			value := g.Value
			if key == "type" {
				_, value, _ = strings.Cut(value, "/")
			}
			values = append(values, value)
		}
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// read gives the filter, with times read.
func (f *filterFlags) read(now time.Time) (event.Filter, error) {
	var err error
	if f.filter.Since, err = timeOf(f.since, now); err != nil {
		return f.filter, &usageError{fmt.Errorf("--since: %w", err)}
	}
	if f.filter.Until, err = timeOf(f.until, now); err != nil {
		return f.filter, &usageError{fmt.Errorf("--until: %w", err)}
	}
	return f.filter, nil
}

// timeOf reads a time, or how long ago it was; without a text it is the zero time.
func timeOf(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return eventlog.ParseTime(s, now)
}

// limitFlag declares a flag that says how many are listed; only one whose default is 0 may be 0.
func limitFlag(f *pflag.FlagSet, to *int, fallback int, usage string) {
	*to = fallback
	f.Var(&limitValue{to, min(fallback, 1)}, "limit", usage)
}

// limitValue is such a flag: a number of least at least.
type limitValue struct {
	to    *int
	least int
}

func (l *limitValue) String() string {
	if l.to == nil {
		return "0"
	}
	return strconv.Itoa(*l.to)
}

func (l *limitValue) Type() string { return "int" }

func (l *limitValue) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < l.least {
		return fmt.Errorf("it has to be a number of at least %d", l.least)
	}
	*l.to = n
	return nil
}

// actor is who works here, as user@host.
func (p Program) actor() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

func (p Program) writeJSON(v any) error {
	e := json.NewEncoder(p.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

func dlqListCommand(p Program) *cobra.Command {
	var f filterFlags
	var by string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, or count them by reason, route, source, type or day",
		Long: `List the dead letters, the latest first: age, source, type, subject, reason, attempts and
replays. With --group-by, a line for each reason, route, source, type or day.`,
		Example: `  grapnel dlq list --group-by reason
  grapnel dlq list --source stripe --since 2h`,
		RunE: p.overLetters(&f, func(ctx context.Context, s *deadletter.Store, filter event.Filter) error {
			return p.dlqList(ctx, s, filter, by, asJSON)
		}),
	}
	f.add(p, c, "reason")
	c.Flags().StringVar(&by, "group-by", "", "count by "+strings.Join(deadletter.GroupKeys(), ", "))
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	_ = c.RegisterFlagCompletionFunc("group-by", cobra.FixedCompletions(deadletter.GroupKeys(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (p Program) dlqList(ctx context.Context, s *deadletter.Store, f event.Filter, by string, asJSON bool) error {
	if by != "" && !slices.Contains(deadletter.GroupKeys(), by) {
		return &usageError{fmt.Errorf("--group-by %s: %sit is one of %s", by, didYouMean(by, deadletter.GroupKeys()), strings.Join(deadletter.GroupKeys(), ", "))}
	}
	listing, err := s.List(ctx, f)
	if err != nil {
		return err
	}
	groups := deadletter.GroupBy(listing.Letters, by)
	switch {
	case asJSON && by != "":
		return p.writeJSON(struct {
			Groups []deadletter.Group `json:"groups"`
			Cut    bool               `json:"cut"`
		}{groups, listing.Cut})
	case asJSON:
		return p.writeJSON(listing)
	case by != "":
		printGroups(p.Stdout, groups)
	default:
		printLetters(p.Stdout, listing.Letters, time.Now())
	}
	if listing.Cut {
		n, err := s.Count(ctx)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(p.Stdout, "There are more: about %d are listed in all. --limit and filters say which are shown.\n", n)
	}
	return nil
}

// shortID is how much of an ID is shown in a line; a command takes it as well.
const shortID = 12

func printLetters(w io.Writer, letters []deadletter.Summary, now time.Time) {
	if len(letters) == 0 {
		_, _ = fmt.Fprintln(w, "No dead letters.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "ID\tAGE\tSOURCE\tTYPE\tSUBJECT\tREASON\tATTEMPTS\tREPLAYS")
	for _, l := range letters {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\n", event.Cut(l.ID, shortID)[:min(shortID, len(l.ID))], briefDuration(l.Age(now)),
			l.Source, event.Clean(l.Type, 40), event.Clean(l.Subject, 30), event.Clean(l.Reason, 60), l.Attempts, l.Replays)
	}
	_ = t.Flush() // to a terminal
	_, _ = fmt.Fprintf(w, "%s. '%s' tells all of one.\n", countOf(len(letters), "dead letter"), program.Command("dlq show ID"))
}

func printGroups(w io.Writer, groups []deadletter.Group) {
	if len(groups) == 0 {
		_, _ = fmt.Fprintln(w, "No dead letters.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "COUNT\tFIRST\tLAST\tVALUE")
	for _, g := range groups {
		_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\n", g.Count, shownTime(g.First), shownTime(g.Last), event.Clean(g.Value, 200))
	}
	_ = t.Flush() // to a terminal
}

// countOf writes a number of things.
func countOf(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// briefDuration is a duration in its largest unit.
func briefDuration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
