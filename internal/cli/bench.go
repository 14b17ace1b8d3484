package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/bench"
)

// benchFlags is what the flags of bench say.
type benchFlags struct {
	rounds, events int
	quick, asJSON  bool
	svg            string
	only           []string
}

func benchCommand(p Program) *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure what an event costs, as ratios on this machine",
		Long: `Measure what an event costs and what the door takes, in alternating rounds against one
engine: an embedded one in a new directory, or that of TEMPORAL_ADDRESS, in whose
namespace the events then stay for its retention. It takes a few minutes and all of the
machine; --quick is for a first look.`,
		RunE: func(c *cobra.Command, _ []string) error { return p.bench(c.Context(), f) },
	}
	c.Flags().IntVar(&f.rounds, "rounds", 5, "how often each rate is measured; the median counts")
	c.Flags().IntVar(&f.events, "events", 2000, "events of a round")
	c.Flags().BoolVar(&f.quick, "quick", false, "two rounds of 300 events")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	c.Flags().StringVar(&f.svg, "svg", "", "draw a chart into this file too")
	c.Flags().StringSliceVar(&f.only, "only", nil, "measure only these: "+strings.Join(bench.Names(), ", "))
	return c
}

func (p Program) bench(ctx context.Context, f benchFlags) (err error) {
	if f.quick {
		f.rounds, f.events = 2, 300
	}
	if f.rounds < 1 || f.events < 20 {
		return &usageError{errors.New("at least 1 round of 20 events")}
	}
	for _, name := range f.only {
		if !slices.Contains(bench.Names(), name) {
			return &usageError{fmt.Errorf("--only %s: there are %s", name, strings.Join(bench.Names(), ", "))}
		}
	}
	dir, err := os.MkdirTemp("", "grapnel-bench-")
	if err != nil {
		return fmt.Errorf("make a directory to work in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	plant, o, err := p.Plant(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plant.Close()) }() //nolint:contextcheck // It ends at once, whatever the context says.
	o.Plant, o.Rounds, o.Events, o.Only, o.Progress = plant, f.rounds, f.events, f.only, p.Stderr
	report, err := bench.Run(ctx, o)
	if err != nil {
		return err
	}
	if f.svg != "" {
		if err := writeFile(f.svg, report.SVG); err != nil {
			return err
		}
	}
	if !f.asJSON {
		return report.Print(p.Stdout)
	}
	e := json.NewEncoder(p.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(report)
}

func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("draw the chart: %w", err)
	}
	return errors.Join(write(file), file.Close())
}
