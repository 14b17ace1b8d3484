package cli

import (
	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/app"
)

func upCommand(p Program) *cobra.Command {
	var profile bool
	c := &cobra.Command{
		Use:   "up",
		Short: "Run everything in one process: receiver, worker and, if none is configured, Temporal",
		Long: `Run receiver and worker in one process, with one Temporal client, so that an event is
handled at the cost of two calls to Temporal.

Without TEMPORAL_ADDRESS the embedded engine runs too: the Temporal CLI's server on a
SQLite file under GRAPNEL_DATA_DIR, with its Web UI. Its state survives a restart.
Ctrl-C stops everything, in order.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.Serve(c.Context(), app.Parts{Receiver: true, Worker: true, Engine: true, Pprof: profile})
		},
	}
	pprofFlag(c, &profile)
	return c
}

func starterCommand(p Program) *cobra.Command {
	var profile bool
	c := &cobra.Command{
		Use:   "starter",
		Short: "Run the receiver alone, against a Temporal that runs elsewhere",
		RunE: func(c *cobra.Command, _ []string) error {
			return p.Serve(c.Context(), app.Parts{Receiver: true, Pprof: profile})
		},
	}
	pprofFlag(c, &profile)
	return c
}

func workerCommand(p Program) *cobra.Command {
	var profile bool
	c := &cobra.Command{
		Use:   "worker",
		Short: "Run the worker alone, against a Temporal that runs elsewhere",
		RunE: func(c *cobra.Command, _ []string) error {
			return p.Serve(c.Context(), app.Parts{Worker: true, Pprof: profile})
		},
	}
	pprofFlag(c, &profile)
	return c
}

// pprofFlag lets a process be looked into.
func pprofFlag(c *cobra.Command, on *bool) {
	c.Flags().BoolVar(on, "pprof", false, "serve Go's profiles under /debug/pprof/ of the admin listener")
}
