package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/app"
)

func versionCommand(p Program) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Say what this program was made from",
		RunE: func(*cobra.Command, []string) error {
			b := app.ReadBuild()
			if asJSON {
				e := json.NewEncoder(p.Stdout)
				e.SetIndent("", "  ")
				return e.Encode(b)
			}
			t := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
			for _, line := range [][2]string{
				{"grapnel", b.Version},
				{"commit", b.Commit},
				{"date", b.Date},
				{"Go", b.Go},
				{"Temporal SDK", b.SDK},
				{"platform", b.Platform},
			} {
				if line[1] != "" {
					_, _ = fmt.Fprintf(t, "%s\t%s\n", line[0], line[1])
				}
			}
			return t.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return c
}
