package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/program"
)

func dlqReplayCommand(p Program) *cobra.Command {
	a := &actFlags{action: event.ActionReplay}
	c := &cobra.Command{
		Use:   "replay [ID…]",
		Short: "Replay dead letters: do what is left of them to do",
		Long: `Replay the dead letters that are named or that the filters mean: do what is left to do, and
nothing that succeeded before. The set is frozen when it begins; it begins slowly and
grows to --rate, and stops by itself when more than half of the last 20 fail again.

It goes on without this command; 'grapnel ops' shows, pauses, resumes and cancels it.
Exit code 0 means that every event is handled.`,
		Example: `  grapnel dlq replay --route crm --dry-run
  grapnel dlq replay --route crm --reason "crm is up again" --rate 20
  grapnel dlq replay 3f2a9c1e77b0 --body corrected.json --reason "typo in the amount"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, ids []string) error { return p.act(c.Context(), a, ids) },
	}
	a.flags(p, c)
	c.Flags().StringVar(&a.body, "body", "", "hand over the body of this file instead of the sender's; for one ID")
	c.Flags().Float64Var(&a.share, "stop-share", event.DefaultShare, "stop when more than this part of the last 20 fail again; 1 never stops")
	return c
}

func dlqDiscardCommand(p Program) *cobra.Command {
	a := &actFlags{action: event.ActionDiscard}
	c := &cobra.Command{
		Use:   "discard [ID…]",
		Short: "Give up on dead letters: they leave the list, and a sender's repeat stays a duplicate",
		Long: `Give up on the dead letters that are named or that the filters mean. They leave the list and
no batch replays them; 'grapnel dlq show' tells of them until Temporal's retention ends
them. Their IDs stay taken, so that a sender's repeat is a duplicate.`,
		Example: `  grapnel dlq discard --type 'test.*' --reason "test data"`,
		Args:    cobra.ArbitraryArgs,
		RunE:    func(c *cobra.Command, ids []string) error { return p.act(c.Context(), a, ids) },
	}
	a.flags(p, c)
	return c
}

// actFlags is what replay and discard are told.
type actFlags struct {
	action              event.Action
	filter              filterFlags
	reason, who, body   string
	rate, share         float64
	dry, detach, asJSON bool
	yes                 bool
	wait                time.Duration
}

func (a *actFlags) flags(p Program, c *cobra.Command) {
	a.filter.add(p, c, "dead-reason")
	f := c.Flags()
	f.StringVar(&a.reason, "reason", "", "why you do it, for the record; required with a filter")
	f.StringVar(&a.who, "actor", "", "who does it, for the record (default user@host)")
	f.Float64Var(&a.rate, "rate", event.DefaultRate, "events a second, at most")
	f.BoolVar(&a.dry, "dry-run", false, "tell how many of what it would be, and do nothing")
	f.BoolVar(&a.detach, "detach", false, "begin it and don't wait for its end")
	f.DurationVar(&a.wait, "wait", time.Hour, "how long to wait for its end")
	f.BoolVarP(&a.yes, "yes", "y", false, "don't ask on a terminal")
	f.BoolVar(&a.asJSON, "json", false, "write JSON")
}

// operation reads what was told.
func (a *actFlags) operation(ctx context.Context, p Program, s *deadletter.Store, ids []string) (event.Operation, error) {
	f, err := a.filter.read(time.Now())
	if err != nil {
		return event.Operation{}, err
	}
	op := event.Operation{Action: a.action, Filter: f, Rate: a.rate, Share: a.share, Deed: event.Deed{Actor: a.who, Reason: a.reason}}
	if op.Actor == "" {
		op.Actor = p.actor()
	}
	if err := a.check(f, ids); err != nil {
		return op, &usageError{err}
	}
	for _, id := range ids {
		whole, err := s.Resolve(ctx, id)
		if err != nil {
			return op, err
		}
		op.Filter.IDs = append(op.Filter.IDs, whole)
	}
	if a.body == "" {
		return op, nil
	}
	if op.Body, err = os.ReadFile(a.body); err != nil {
		return op, fmt.Errorf("read the corrected body: %w", err)
	}
	return op, nil
}

// check refuses what must not be begun, or only by mistake.
func (a *actFlags) check(f event.Filter, ids []string) error {
	switch {
	case a.rate <= 0:
		return errors.New("--rate has to be more than 0")
	case len(ids) == 0 && f.Empty() && f.Limit == 0:
		return errors.New("name the IDs of dead letters, or say by filters which are meant")
	case len(ids) == 0 && a.reason == "" && !a.dry:
		return errors.New("say why by --reason; it is kept with every event")
	case a.body != "" && len(ids) != 1:
		return errors.New("--body corrects one dead letter; name its ID")
	}
	return nil
}

func (p Program) act(ctx context.Context, a *actFlags, ids []string) error {
	s, done, err := p.letters(ctx)
	if err != nil {
		return err
	}
	defer done()
	op, err := a.operation(ctx, p, s, ids)
	if err != nil {
		return err
	}
	plan, err := s.Plan(ctx, op)
	if err != nil {
		return err
	}
	if a.dry {
		return p.printPlan(plan, a.asJSON)
	}
	for _, one := range plan.Cannot {
		_, _ = fmt.Fprintf(p.Stderr, "%s: %s\n", one.ID, one.Why)
	}
	if plan.Total == 0 {
		_, _ = fmt.Fprintln(p.Stderr, errNothing)
		if len(plan.Cannot) > 0 {
			return errVerdict
		}
		return nil
	}
	if !a.yes && !p.confirm(fmt.Sprintf("%s %s?", op.Action, countOf(plan.Total, "dead letter"))) {
		return errVerdict
	}
	id, err := s.Begin(ctx, op, "")
	if err != nil {
		return err
	}
	if a.detach {
		if a.asJSON {
			return p.writeJSON(map[string]string{"id": id})
		}
		_, _ = fmt.Fprintf(p.Stdout, "%s has begun; '%s' tells how far it is\n", id, program.Command("ops show "+id))
		return nil
	}
	return p.follow(ctx, s, id, a)
}

// confirm asks on a terminal; elsewhere the command line is the answer.
func (p Program) confirm(question string) bool {
	if !isTerminal(p.Stdin) || !isTerminal(p.Stderr) {
		return true
	}
	_, _ = fmt.Fprintf(p.Stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(p.Stdin).ReadString('\n') // Nothing is no.
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}

// isTerminal tells whether somebody sits there, as at /dev/null nobody does.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

func (p Program) printPlan(plan deadletter.Plan, asJSON bool) error {
	if asJSON {
		return p.writeJSON(plan)
	}
	_, _ = fmt.Fprintf(p.Stdout, "%s would be %s. Nothing was done.\n", countOf(plan.Total, "dead letter"), pastTense(plan.Action))
	if plan.Total > 0 {
		_, _ = fmt.Fprintln(p.Stdout, "\nby reason:")
		printGroups(p.Stdout, plan.Groups)
		_, _ = fmt.Fprintln(p.Stdout, "\nby route:")
		printGroups(p.Stdout, plan.Routes)
	}
	for _, one := range plan.Cannot {
		_, _ = fmt.Fprintf(p.Stdout, "can't: %s: %s\n", one.ID, one.Why)
	}
	if plan.Cut {
		_, _ = fmt.Fprintln(p.Stdout, "There are more than could be looked at; the operation takes all of them.")
	}
	return nil
}

func pastTense(a event.Action) string {
	if a == event.ActionDiscard {
		return "discarded"
	}
	return "replayed"
}

// followEvery is how often the state of an operation is asked for.
const followEvery = 300 * time.Millisecond

// follow waits for the end of an operation and tells how far it is.
func (p Program) follow(ctx context.Context, s *deadletter.Store, id string, a *actFlags) error {
	ctx, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	bar := isTerminal(p.Stderr)
	if !a.asJSON && !bar {
		_, _ = fmt.Fprintf(p.Stderr, "%s has begun\n", id)
	}
	for {
		st, err := s.Operation(ctx, id)
		switch {
		case ctx.Err() != nil:
			_, _ = fmt.Fprintf(p.Stderr, "\n%s goes on; '%s' tells how far it is\n", id, program.Command("ops show "+id))
			return errVerdict
		case err != nil:
			return err
		}
		if bar {
			drawBar(p.Stderr, st)
		}
		if st.Over() || st.Phase == event.PhaseStopped || st.Phase == event.PhasePaused {
			if bar {
				_, _ = fmt.Fprintln(p.Stderr)
			}
			return p.endOf(st, a.asJSON)
		}
		select {
		case <-ctx.Done():
		case <-time.After(followEvery):
		}
	}
}

// barWidth is the width of the bar in characters.
const barWidth = 30

func drawBar(w io.Writer, st deadletter.Status) {
	full := 0
	if st.Total > 0 {
		full = barWidth * st.Begun / st.Total
	}
	_, _ = fmt.Fprintf(w, "\r\033[K%s [%s%s] %d/%d  %s", st.Phase, strings.Repeat("#", full), strings.Repeat(" ", barWidth-full),
		st.Begun, st.Total, countsOf(st.Counts))
}

// endOf tells what an operation came to, and whether that is good.
func (p Program) endOf(st deadletter.Status, asJSON bool) error {
	if asJSON {
		if err := p.writeJSON(st); err != nil {
			return err
		}
	} else {
		_, _ = fmt.Fprintf(p.Stdout, "%s: %s, %d of %d: %s\n", st.ID, st.Phase, st.Begun, st.Total, countsOf(st.Counts))
		if st.Note != "" {
			_, _ = fmt.Fprintln(p.Stdout, st.Note)
		}
		if st.Phase == event.PhaseStopped || st.Phase == event.PhasePaused {
			_, _ = fmt.Fprintf(p.Stdout, "'%s' goes on with it, '%s' ends it.\n",
				program.Command("ops resume "+st.ID), program.Command("ops cancel "+st.ID))
		}
	}
	good := st.Counts[event.BecameHandled] + st.Counts[event.BecameDiscarded] + st.Counts[event.BecameRenewed] + st.Counts[event.BecameGone]
	if st.Phase != event.PhaseDone || good != st.Total {
		return errVerdict
	}
	return nil
}

// countsOf writes how many items became what.
func countsOf(counts map[event.Became]int) string {
	var parts []string
	for _, became := range event.EveryBecame() {
		if n := counts[became]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, became.Words()))
		}
	}
	if len(parts) == 0 {
		return "nothing yet"
	}
	return strings.Join(parts, ", ")
}
