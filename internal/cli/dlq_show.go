package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/event"
)

func dlqShowCommand(p Program) *cobra.Command {
	var body, asJSON bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Tell all of a dead letter: the event, its body, what failed and how often",
		Long: `Tell all of a dead letter, or of one that was discarded: the event and its body, what
succeeded, what failed with each attempt, its error, answer and stack, and the earlier
replays. The ID may be the beginning of one, as the list shows it.

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
				printLetter(p.Stdout, l, p.webUI(c.Context(), l.Event.ID, l.Run))
			}
			return err
		},
	}
	c.Flags().BoolVar(&body, "body", false, "write the body alone, byte for byte")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

// letterPrinter writes a dead letter for people. What senders and destinations wrote
// goes through legible.
type letterPrinter struct{ w io.Writer }

func (p letterPrinter) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format+"\n", args...)
}

func (p letterPrinter) say(name, value string) {
	if value != "" {
		p.line("%-12s %s", name, legible(value))
	}
}

// below writes text of several lines, set in.
func (p letterPrinter) below(text string) {
	p.line("  %s", strings.ReplaceAll(legible(strings.TrimRight(text, "\n")), "\n", "\n  "))
}

func printLetter(w io.Writer, l deadletter.Full, ui string) {
	p, e := letterPrinter{w}, l.Event
	p.say("event", e.ID)
	p.say("source", e.Source)
	p.say("type", e.Type)
	p.say("subject", e.Subject)
	p.say("sender's id", e.SenderID)
	p.say("happened", shownTime(e.Time))
	p.say("received", shownTime(e.Received))
	p.say("died", shownTime(l.Died))
	p.say("reason", l.Letter.Reason())
	p.say("run", l.Run)
	p.say("Web UI", ui)
	if d := l.Discard; d != nil {
		p.say("discarded", fmt.Sprintf("%s by %s: %s", shownTime(d.At), d.Actor, d.Reason))
	}
	p.say("succeeded", strings.Join(l.Letter.Done, ", "))
	for _, f := range l.Letter.Failures {
		p.failure(f)
	}
	for _, r := range l.Letter.Replays {
		by := "by a reset"
		if r.Actor != "" {
			by = fmt.Sprintf("by %s (%s)", r.Actor, r.Reason)
		}
		p.line("\nreplayed %s %s after: %s", shownTime(r.At), legible(by), legible(r.Error))
	}
	if i := l.Letter.Instead; i != nil {
		p.line("\nthis run stands in the place of another: %s", legible(i.Why))
	}
	p.line("\nbody, %s, %s:\n%s", countOf(len(l.Body), "byte"), legible(e.DataContentType), legible(string(l.Body)))
	if c := l.Letter.Correction; c != nil {
		p.line("\nCORRECTED %s by %s (%s); nobody has signed it, and a replay hands over this:\n%s",
			shownTime(c.At), legible(c.Actor), legible(c.Reason), legible(string(l.Corrected)))
	}
}

func (p letterPrinter) failure(f event.Failure) {
	name := f.Route
	if name == "" {
		name = "(no route)"
	}
	p.line("\nfailed: %s", legible(name))
	p.below(f.Message)
	if f.Attempts > 0 {
		p.line("  %s, attempts: %d, first %s, last %s", legible(f.Type), f.Attempts, shownTime(f.First), shownTime(f.Last))
	}
	for _, a := range f.Tried {
		p.line("  attempt %d failed %s: %s", a.Number, shownTime(a.At), legible(a.Error))
	}
	if f.Answer != "" {
		p.line("  answer, %s:", countOf(len(f.Answer), "byte"))
		p.below("  " + strings.ReplaceAll(f.Answer, "\n", "\n  "))
	}
	if f.Stack != "" {
		p.below(f.Stack)
	}
}

// legible writes what strangers wrote so that a terminal shows it and does nothing
// else: control characters, bytes that are no UTF-8, and what turns the direction of
// writing are escaped. Lines and tabs stay.
func legible(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			_, _ = fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n', r == '\t', unicode.IsPrint(r):
			_, _ = b.WriteRune(r)
		default:
			_, _ = b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// webUI is where Temporal's Web UI shows a run; empty where no Web UI is known.
func (p Program) webUI(ctx context.Context, id, run string) string {
	settings, err := p.Reach(ctx)
	origin, ok := p.Lookup("GRAPNEL_UI_ORIGIN")
	if !ok || origin == "" {
		origin = settings.UI
	}
	if err != nil || origin == "" {
		return ""
	}
	return origin + "/namespaces/" + settings.Namespace + "/workflows/" + id + "/" + run + "/history"
}

// errNothing says that a filter means no dead letter.
var errNothing = errors.New("no dead letter is meant by this")
