// Package cli is the command line: one file per command, and nothing else. What runs is in
// internal/app.
package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/program"
)

// Program is one run of grapnel, with everything it sees of the world.
type Program struct {
	app.World

	// Args are the arguments without the name of the program.
	Args []string
}

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // it did not work, or the verdict is no
	exitUsage   = 2 // the command line is wrong
)

// errVerdict ends a command with exit code 1 that has said all there is to say.
var errVerdict = errors.New("the verdict is no")

// usageError is a command line that is wrong.
type usageError struct{ error }

// Run runs the command that the arguments name and gives the exit code.
func (p Program) Run(ctx context.Context) int {
	root := p.root() //nolint:contextcheck // ExecuteContext gives it to the command.
	command, err := root.ExecuteContextC(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errVerdict):
		return exitFailure
	case errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command"):
		_, _ = fmt.Fprintf(p.Stderr, "%s: %v\nSee '%s --help'.\n", program.Name(), err, command.CommandPath())
		return exitUsage
	default:
		_, _ = fmt.Fprintf(p.Stderr, "%s: %v\n", program.Name(), err)
		return exitFailure
	}
}

func (p Program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   program.Name(),
		Short: "Receive webhooks and see to it that each is handled",
		Long: `grapnel receives webhooks, verifies them, and handles each as a Temporal workflow.

An event that nobody could handle is a dead letter: a failed workflow of type
DeadLetter. Any reset of it, in the Web UI or by the temporal command, replays it.

Start with 'grapnel up', then 'grapnel send zoom' in another terminal.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       app.Version(),
	}
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddGroup(&cobra.Group{ID: groupRun, Title: "Run it:"}, &cobra.Group{ID: groupTry, Title: "Try and inspect it:"})
	p.add(root, groupRun,
		upCommand(p),
		starterCommand(p),
		workerCommand(p),
		setupCommand(p),
	)
	root.AddGroup(&cobra.Group{ID: groupOperate, Title: "Operate it:"})
	p.add(root, groupOperate,
		dlqCommand(p),
		opsCommand(p),
		sweepCommand(p),
		pauseCommand(p),
		resumeCommand(p),
	)
	p.add(root, groupTry,
		sendCommand(p),
		verifyCommand(p),
		routeCommand(p),
		providersCommand(p),
		checkCommand(p),
		healthCommand(p),
		eventsCommand(p),
		spoolCommand(p),
		temporalCommand(p),
		envCommand(p),
		meetingsCommand(p.dial),
		benchCommand(p),
		versionCommand(p),
	)
	nameHelp(root)
	return root
}

// nameHelp makes the help of a command, and of those below it, call the program by its own
// name. The texts in the code say grapnel.
func nameHelp(c *cobra.Command) {
	c.Short, c.Long, c.Example = program.Named(c.Short), program.Named(c.Long), program.Named(c.Example)
	for _, below := range c.Commands() {
		nameHelp(below)
	}
}

// The groups of commands that the help shows.
const (
	groupRun     = "run"
	groupOperate = "operate"
	groupTry     = "try"
)

func (p Program) add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		if c.HasSubCommands() && !c.Runnable() {
			// Else cobra takes a command below it that is none for a wish for help.
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
			c.Args = knownCommand
		}
		args := c.Args
		if args == nil {
			args = cobra.NoArgs
		}
		c.Args = func(c *cobra.Command, a []string) error {
			if err := args(c, a); err != nil {
				return &usageError{fmt.Errorf("%w; write %s", err, c.UseLine())}
			}
			return nil
		}
		root.AddCommand(c)
	}
}

// knownCommand refuses the name of a command that there is not below another.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, one := range c.Commands() {
		known = append(known, one.Name())
	}
	return fmt.Errorf("unknown command %q; %sthere are %s", args[0], didYouMean(args[0], known), strings.Join(known, ", "))
}

// shownTime writes a time for people: in UTC, as one word that --since and --until take, and
// empty where there is none.
func shownTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// dial makes a client of Temporal for a command that asks it something.
func (p Program) dial(c *cobra.Command) (client.Client, error) {
	temporal, _, err := p.Dial(c.Context())
	return temporal, err
}
