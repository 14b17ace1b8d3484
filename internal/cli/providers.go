package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/program"
	"github.com/grapnel/grapnel/internal/provider"
)

func providersCommand(p Program) *cobra.Command {
	var asJSON, table bool
	c := &cobra.Command{
		Use:   "providers [NAME]",
		Short: "List the senders that grapnel knows, or say what to paste where for one",
		Args:  cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return provider.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && asJSON:
				return p.providerJSON(args[0])
			case len(args) == 1:
				doc, ok := provider.Doc(args[0])
				if !ok {
					return unknownProvider(args[0])
				}
				_, _ = fmt.Fprint(p.Stdout, doc)
				return nil
			case table:
				_, _ = fmt.Fprint(p.Stdout, provider.Table())
				return nil
			default:
				return p.listProviders(asJSON)
			}
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.Flags().BoolVar(&table, "markdown", false, "write the table of the documentation")
	return c
}

func unknownProvider(name string) error {
	return &usageError{fmt.Errorf("no provider %q; %s'%s' lists them", name, didYouMean(name, provider.Names()), program.Command("providers"))}
}

// didYouMean asks whether another name was meant; empty where none is like it.
func didYouMean(name string, known []string) string {
	if near := config.Nearest(name, known); len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "? "
	}
	return ""
}

func (p Program) providerJSON(name string) error {
	preset, ok := provider.Lookup(name)
	if !ok {
		return unknownProvider(name)
	}
	e := json.NewEncoder(p.Stdout)
	e.SetIndent("", "  ")
	shown := struct {
		provider.Preset

		Bearer bool
	}{preset, provider.IsBearer(preset.Verify)}
	if err := e.Encode(shown); err != nil {
		return fmt.Errorf("write the provider: %w", err)
	}
	return nil
}

func (p Program) listProviders(asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(p.Stdout).Encode(provider.Names()); err != nil {
			return fmt.Errorf("write the list: %w", err)
		}
		return nil
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "PROVIDER\tSENDER\tPROVED BY\tALSO")
	for _, name := range provider.Names() {
		preset, _ := provider.Lookup(name)
		proof := "signature"
		if provider.IsBearer(preset.Verify) {
			proof = "bearer"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, preset.Verify.Docs.Title, proof, strings.Join(preset.Aliases, ", "))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return nil
}
