package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/deadletter"
)

func dlqShowCommand(p Program) *cobra.Command {
	var body, asJSON bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Tell all of a dead letter: the event, its body, what failed and how often",
		Long: `Tell all of a dead letter, or of one that was discarded: the event and its body, what
succeeded, what failed with its error, and the earlier replays. The ID may be the
beginning of one, as the list shows it.

--body writes the body that a replay would hand over, byte for byte, and nothing else.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, done, err := p.letters(c.Context())
			if err != nil {
				return err
			}
			defer done()
			id, err := s.Resolve(c.Context(), args[0])
			if err != nil {
				return err
			}
			l, err := s.Get(c.Context(), id)
			switch {
			case err != nil:
				return err
			case body && l.Corrected != nil:
				_, err = p.Stdout.Write(l.Corrected)
			case body:
				_, err = p.Stdout.Write(l.Body)
			case asJSON:
				return p.writeJSON(l)
			default:
				p.printLetter(l)
			}
			return err
		},
	}
	c.Flags().BoolVar(&body, "body", false, "write the body alone, byte for byte")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func (p Program) printLetter(l deadletter.Full) {
	say := func(name, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(p.Stdout, "%-12s %s\n", name, value)
		}
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	e := l.Event
	say("event", e.ID)
	say("source", e.Source)
	say("type", e.Type)
	say("subject", e.Subject)
	say("sender's id", e.SenderID)
	say("happened", at(e.Time))
	say("received", at(e.Received))
	say("died", at(l.Died))
	say("reason", l.Letter.Reason())
	say("run", l.Run)
	if origin, ok := p.Lookup("GRAPNEL_UI_ORIGIN"); ok && origin != "" {
		say("Web UI", origin+"/namespaces/default/workflows/"+e.ID+"/"+l.Run)
	}
	if d := l.Discard; d != nil {
		say("discarded", fmt.Sprintf("%s by %s: %s", at(d.At), d.Actor, d.Reason))
	}
	say("succeeded", strings.Join(l.Letter.Done, ", "))
	for _, f := range l.Letter.Failures {
		name := f.Route
		if name == "" {
			name = "(no route)"
		}
		_, _ = fmt.Fprintf(p.Stdout, "\nfailed: %s\n  %s\n", name, strings.ReplaceAll(f.Message, "\n", "\n  "))
		if f.Attempts > 0 {
			_, _ = fmt.Fprintf(p.Stdout, "  %s, attempts: %d, first %s, last %s\n", f.Type, f.Attempts, at(f.First), at(f.Last))
		}
		if f.Stack != "" {
			_, _ = fmt.Fprintf(p.Stdout, "  %s\n", strings.ReplaceAll(f.Stack, "\n", "\n  "))
		}
	}
	for _, r := range l.Letter.Replays {
		by := "by a reset"
		if r.Actor != "" {
			by = fmt.Sprintf("by %s (%s)", r.Actor, r.Reason)
		}
		_, _ = fmt.Fprintf(p.Stdout, "\nreplayed %s %s after: %s\n", at(r.At), by, r.Error)
	}
	if i := l.Letter.Instead; i != nil {
		_, _ = fmt.Fprintf(p.Stdout, "\nthis run stands in the place of another: %s\n", i.Why)
	}
	_, _ = fmt.Fprintf(p.Stdout, "\nbody, %d bytes, %s:\n%s\n", len(l.Body), e.DataContentType, l.Body)
	if c := l.Letter.Correction; c != nil {
		_, _ = fmt.Fprintf(p.Stdout, "\nCORRECTED %s by %s (%s); nobody has signed it, and a replay hands over this:\n%s\n",
			at(c.At), c.Actor, c.Reason, l.Corrected)
	}
}

// errNothing says that a filter means no dead letter.
var errNothing = errors.New("no dead letter is meant by this")
