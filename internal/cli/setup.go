package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func setupCommand(p Program) *cobra.Command {
	var asJSON, update, shorter bool
	c := &cobra.Command{
		Use:   "setup",
		Short: "Make the Temporal namespace with its retention, and the search attributes",
		Long: `Make what grapnel needs of Temporal: the namespace with the retention of grapnel.yaml,
and the search attributes. It waits for a Temporal that is not there yet, is safe to
repeat, and says what it lacks the permission for and who has it.

A namespace that is there may have other users, so its retention stays unless --update
is given. A set-up that fails has changed nothing that was there.`,
		RunE: func(c *cobra.Command, _ []string) error {
			report, err := p.SetUp(c.Context(), update, shorter)
			switch {
			case len(report.Steps) == 0: // Temporal was not reached; the error says so.
			case asJSON:
				if err := json.NewEncoder(p.Stdout).Encode(report); err != nil {
					return fmt.Errorf("write the report: %w", err)
				}
			default:
				_, _ = fmt.Fprintln(p.Stdout, report)
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write the report as JSON")
	c.Flags().BoolVar(&update, "update", false, "change the retention of a namespace that is there to that of grapnel.yaml")
	c.Flags().BoolVar(&shorter, "allow-shorter-retention", false, "like --update, and cut even a longer retention, which deletes what is older")
	return c
}
