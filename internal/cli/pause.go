package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/pause"
)

func pauseCommand(p Program) *cobra.Command {
	var why event.Pause
	var asJSON, absent bool
	c := &cobra.Command{
		Use:   "pause [source|destination NAME]",
		Short: "Pause a source or a destination, or list what is paused",
		Long: `Pause a source or a destination for all processes, over restarts, until 'grapnel resume'.

The events of a paused source are still verified, answered and kept; they wait before
they are handled. Events for a paused destination wait too, without using up attempts.
Without arguments it lists what is paused, by whom and why.`,
		Example: "  grapnel pause destination crm --reason 'they move house until noon'",
		Args:    cobra.MatchAll(cobra.MaximumNArgs(2), checkPauseArgs),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return p.listPauses(c, asJSON)
			}
			return p.setPause(c, args, event.PauseChange{Paused: true, Pause: why}, absent)
		},
		ValidArgs: []string{event.PauseSource, event.PauseDestination},
	}
	c.Flags().StringVar(&why.Reason, "reason", "", "why, for whoever looks at it")
	c.Flags().StringVar(&why.Actor, "actor", p.actor(), "who does it")
	c.Flags().BoolVar(&asJSON, "json", false, "write the list as JSON")
	c.Flags().BoolVar(&absent, "absent", false, "pause a name that the configuration here does not have")
	return c
}

func resumeCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "resume source|destination NAME",
		Short: "End the pause of a source or a destination",
		Long: `End the pause of a source or a destination. Events that waited come back one after the
other, within two minutes of the resumption.`,
		Args:      cobra.MatchAll(cobra.ExactArgs(2), checkPauseArgs),
		ValidArgs: []string{event.PauseSource, event.PauseDestination},
		RunE: func(c *cobra.Command, args []string) error {
			return p.setPause(c, args, event.PauseChange{}, true)
		},
	}
}

// checkPauseArgs checks the arguments of pause and resume.
func checkPauseArgs(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if args[0] != event.PauseSource && args[0] != event.PauseDestination || len(args) < 2 {
		return errors.New("name what it is about: source NAME or destination NAME")
	}
	return nil
}

// board asks Temporal what is paused.
func (p Program) board(ctx context.Context) (b *pause.Board, done func(), err error) {
	env, err := p.Environment()
	if err != nil {
		return nil, nil, err
	}
	temporal, _, err := p.Dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	return pause.New(pause.Options{Temporal: temporal, TaskQueue: env.TaskQueue}), temporal.Close, nil
}

func (p Program) setPause(c *cobra.Command, args []string, change event.PauseChange, absent bool) error {
	kind, name := args[0], args[1]
	if _, cfg, err := p.Configuration(); err == nil && !absent {
		_, source := cfg.Sources[name]
		_, destination := cfg.Destinations[name]
		if kind == event.PauseSource && !source || kind == event.PauseDestination && !destination {
			return fmt.Errorf("the configuration has no %s %s; with --absent it is paused all the same", kind, name)
		}
	}
	b, done, err := p.board(c.Context())
	if err != nil {
		return err
	}
	defer done()
	err = b.Set(c.Context(), kind, name, change)
	word := "resumed"
	if change.Paused {
		word = "paused"
	}
	switch {
	case errors.Is(err, pause.ErrUnconfirmed):
		_, _ = fmt.Fprintf(p.Stdout, "%s %s will be %s: %v\n", kind, name, word, err)
		return nil
	case err != nil:
		return err
	}
	_, _ = fmt.Fprintf(p.Stdout, "%s %s is %s\n", kind, name, word)
	return nil
}

func (p Program) listPauses(c *cobra.Command, asJSON bool) error {
	b, done, err := p.board(c.Context())
	if err != nil {
		return err
	}
	defer done()
	if err := b.Refresh(c.Context()); err != nil {
		return err
	}
	state := b.State()
	if asJSON {
		return json.NewEncoder(p.Stdout).Encode(state)
	}
	if len(state) == 0 {
		_, _ = fmt.Fprintln(p.Stdout, "nothing is paused")
		return nil
	}
	t := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	for _, key := range slices.Sorted(maps.Keys(state)) {
		why := state[key]
		_, _ = fmt.Fprintf(t, "%s\tsince %s\tby %s\t%s\n", key, shownTime(why.Since), why.Actor, why.Reason)
	}
	return t.Flush()
}
