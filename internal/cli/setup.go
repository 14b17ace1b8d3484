package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func setupCommand(p Program) *cobra.Command {
	var asJSON, shorter bool
	c := &cobra.Command{
		Use:   "setup",
		Short: "Make the Temporal namespace with its retention, and the search attributes",
		Long: `Make what grapnel needs of Temporal: the namespace with the retention of grapnel.yaml,
and the search attributes. It waits for a Temporal that is not there yet, is safe to
repeat, and says what it lacks the permission for and who has it.`,
		RunE: func(c *cobra.Command, _ []string) error {
			report, err := p.SetUp(c.Context(), shorter)
			if asJSON {
				if err := json.NewEncoder(p.Stdout).Encode(report); err != nil {
					return fmt.Errorf("write the report: %w", err)
				}
			} else {
				_, _ = fmt.Fprintln(p.Stdout, report)
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write the report as JSON")
	c.Flags().BoolVar(&shorter, "allow-shorter-retention", false, "cut a longer retention, which deletes what is older")
	return c
}
