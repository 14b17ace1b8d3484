package cli

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/engine"
)

// temporalCommand runs the stock Temporal CLI against the right Temporal.
func temporalCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "temporal ARGUMENT...",
		Short: "Run the Temporal CLI on the Temporal that grapnel works with",
		Long: `Run the Temporal CLI with the address, the namespace and the codec of the Temporal that
grapnel works with: that of TEMPORAL_ADDRESS, else the one beside 'grapnel up'.

  grapnel temporal workflow list --query 'WorkflowType="DeadLetter"'`,
		DisableFlagParsing: true, // They are the Temporal CLI's.
		Args:               cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return c.Help() // Of ours: 'grapnel temporal workflow --help' is the Temporal CLI's.
			}
			variables, err := p.Variables(c.Context())
			if err != nil {
				return err
			}
			binary, err := engine.FindBinary("", p.Environ)
			if err != nil {
				return err
			}
			run := exec.CommandContext(c.Context(), binary, args...) //nolint:gosec // The arguments are the user's own.
			run.Env = slices.Concat(p.Environ, variables)
			run.Stdin, run.Stdout, run.Stderr = p.Stdin, p.Stdout, p.Stderr
			var ended *exec.ExitError
			if err := run.Run(); errors.As(err, &ended) {
				return errVerdict // It has said what there is to say.
			} else if err != nil {
				return fmt.Errorf("run the Temporal CLI: %w", err)
			}
			return nil
		},
	}
}

// envCommand prints how to reach Temporal.
func envCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "env",
		Short: "Print the variables by which the Temporal CLI and SDKs reach grapnel's Temporal",
		Long: `Print the variables by which the Temporal CLI and SDKs reach the Temporal that grapnel
works with, for the shell:

  eval "$(grapnel env)"`,
		RunE: func(c *cobra.Command, _ []string) error {
			variables, err := p.Variables(c.Context())
			for _, v := range variables {
				_, _ = fmt.Fprintln(p.Stdout, "export "+v)
			}
			return err
		},
	}
}
