package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/event"
)

func dlqExportCommand(p Program) *cobra.Command {
	var f filterFlags
	c := &cobra.Command{
		Use:   "export",
		Short: "Write dead letters as JSON Lines, with all of each",
		Long: `Write the dead letters that the filters mean as JSON Lines: event, body (in base64), what
failed and the earlier replays. 'grapnel dlq import' restores them elsewhere. They stay
where they are.`,
		Example: `  grapnel dlq export --source stripe > letters.jsonl`,
		RunE: p.overLetters(&f, func(ctx context.Context, s *deadletter.Store, filter event.Filter) error {
			out := bufio.NewWriter(p.Stdout)
			line := json.NewEncoder(out)
			if err := s.Export(ctx, filter, func(l deadletter.Full) error { return line.Encode(l) }); err != nil {
				return errors.Join(err, out.Flush())
			}
			return out.Flush()
		}),
	}
	f.add(p, c, "reason")
	c.Flags().Bool("json", true, "write JSON Lines; there is no other form")
	return c
}

func dlqImportCommand(p Program) *cobra.Command {
	var who string
	var asJSON bool
	c := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Restore dead letters that were exported; those that are there are refused",
		Long: `Restore the dead letters of a file that 'grapnel dlq export' has written, or of standard
input. An event that is known here, dead or not, is refused and left as it is; the exit
code is then 1.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in := p.Stdin
			if len(args) == 1 && args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("open the export: %w", err)
				}
				defer func() { _ = file.Close() }()
				in = file
			}
			s, done, err := p.letters(c.Context())
			if err != nil {
				return err
			}
			defer done()
			if who == "" {
				who = p.actor()
			}
			r, err := p.importAll(in, func(l deadletter.Full) error {
				return s.Import(c.Context(), l, event.Deed{Actor: who, Reason: "import"})
			})
			if err != nil {
				return err
			}
			if asJSON {
				err = p.writeJSON(r)
			} else {
				_, _ = fmt.Fprintf(p.Stdout, "%s imported, %d refused\n", countOf(r.Imported, "dead letter"), len(r.Refused))
			}
			if err == nil && len(r.Refused) > 0 {
				return errVerdict
			}
			return err
		},
	}
	c.Flags().StringVar(&who, "actor", "", "who does it, for the record (default user@host)")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

// importCount is what an import has come to.
type importCount struct {
	Imported int       `json:"imported"`
	Refused  []refusal `json:"refused"`
}

type refusal struct {
	Line int    `json:"line"`
	ID   string `json:"id,omitempty"`
	Why  string `json:"why"`
}

// importAll imports each line. A line that can't be taken is told and passed over.
func (p Program) importAll(in io.Reader, take func(deadletter.Full) error) (importCount, error) {
	r := importCount{Refused: []refusal{}}
	lines := bufio.NewReader(in)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if text = bytes.TrimSpace(text); len(text) > 0 {
			var l deadletter.Full
			fault := json.Unmarshal(text, &l)
			if fault == nil {
				fault = take(l)
			}
			if fault == nil {
				r.Imported++
			} else {
				_, _ = fmt.Fprintf(p.Stderr, "line %d: %s: %v\n", n, l.Event.ID, fault)
				r.Refused = append(r.Refused, refusal{n, l.Event.ID, fault.Error()})
			}
		}
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return r, fmt.Errorf("read the export: %w", err)
		}
	}
}
