package cli

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/event"
)

func opsCommand(p Program) *cobra.Command {
	c := &cobra.Command{
		Use:   "ops",
		Short: "Show, pause, resume and cancel operations on dead letters",
		Long: `Show what was done to many dead letters at once, by whom and why, and what became of each
event; pause, resume and cancel what is under way.`,
	}
	p.addBelow(c, opsListCommand(p), opsShowCommand(p),
		opsControlCommand(p, "pause", "Pause an operation; what was begun is finished"),
		opsControlCommand(p, "resume", "Go on with an operation that is paused or has stopped by itself"),
		opsControlCommand(p, "cancel", "End an operation; what was begun is finished, the rest stays dead"))
	return c
}

func opsListCommand(p Program) *cobra.Command {
	var limit int
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List operations, the latest first",
		RunE: func(c *cobra.Command, _ []string) error {
			s, done, err := p.letters(c.Context())
			if err != nil {
				return err
			}
			defer done()
			all, err := s.Operations(c.Context(), limit)
			if err != nil {
				return err
			}
			if asJSON {
				return p.writeJSON(map[string]any{"operations": all})
			}
			if len(all) == 0 {
				_, _ = fmt.Fprintln(p.Stdout, "No operations.")
				return nil
			}
			t := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(t, "ID\tACTION\tPHASE\tBEGUN\tSTARTED\tACTOR\tREASON\tBECAME")
			for _, o := range all {
				_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%d/%d\t%s\t%s\t%s\t%s\n", o.ID, o.Action, o.Phase, o.Begun, o.Total,
					shownTime(o.Started), o.Actor, o.Reason, countsOf(o.Counts))
			}
			return t.Flush()
		},
	}
	limitFlag(c.Flags(), &limit, 50, "at most so many")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func opsShowCommand(p Program) *cobra.Command {
	var items, asJSON bool
	c := &cobra.Command{
		Use:               "show ID",
		Short:             "Tell where an operation stands, and with --items what became of each event",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeOperations,
		RunE: func(c *cobra.Command, args []string) error {
			s, done, err := p.letters(c.Context())
			if err != nil {
				return err
			}
			defer done()
			st, err := s.Operation(c.Context(), args[0])
			if err != nil {
				return err
			}
			var each []deadletter.ItemStatus
			if items {
				if each, err = s.Items(c.Context(), args[0], 0, max(st.Total, 1)); err != nil {
					return err
				}
			}
			if asJSON {
				return p.writeJSON(struct {
					deadletter.Status
					Items []deadletter.ItemStatus `json:"items,omitempty"`
				}{st, each})
			}
			p.printOperation(st, each)
			return nil
		},
	}
	c.Flags().BoolVar(&items, "items", false, "tell what became of each event")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func (p Program) printOperation(st deadletter.Status, each []deadletter.ItemStatus) {
	t := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "operation\t%s\naction\t%s\nphase\t%s\nactor\t%s\nreason\t%s\nrate\t%g a second\nstarted\t%s\n",
		st.ID, st.Action, st.Phase, st.Actor, st.Reason, st.Rate, shownTime(st.Started))
	if st.Over() {
		_, _ = fmt.Fprintf(t, "ended\t%s\n", shownTime(st.Ended))
	}
	_, _ = fmt.Fprintf(t, "begun\t%d of %d\nbecame\t%s\n", st.Begun, st.Total, countsOf(st.Counts))
	if st.Note != "" {
		_, _ = fmt.Fprintf(t, "note\t%s\n", st.Note)
	}
	for _, one := range each {
		_, _ = fmt.Fprintf(t, "%s\t%s  %s\n", one.ID, one.Became.Words(), one.Why)
	}
	_ = t.Flush() // to a terminal
}

func opsControlCommand(p Program, do, about string) *cobra.Command {
	var who, reason string
	c := &cobra.Command{
		Use:               do + " ID",
		Short:             about,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeOperations,
		RunE: func(c *cobra.Command, args []string) error {
			s, done, err := p.letters(c.Context())
			if err != nil {
				return err
			}
			defer done()
			if who == "" {
				who = p.actor()
			}
			if err := s.Control(c.Context(), args[0], event.Control{Do: do, Deed: event.Deed{Actor: who, Reason: reason}}); err != nil {
				return err
			}
			_, _ = fmt.Fprintf(p.Stdout, "%s: told to %s\n", args[0], do)
			return nil
		},
	}
	c.Flags().StringVar(&who, "actor", "", "who does it, for the record (default user@host)")
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return c
}

func (p Program) completeOperations(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), 3*time.Second)
	defer cancel()
	s, done, err := p.letters(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer done()
	all, err := s.Operations(ctx, 50)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ids []string
	for _, o := range all {
		ids = append(ids, o.ID+"\t"+string(o.Action)+" by "+o.Actor+": "+o.Reason)
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
