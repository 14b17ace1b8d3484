package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// routeFlags is what the flags of route say.
type routeFlags struct {
	source, typ, event string
	asJSON             bool
}

func routeCommand(p Program) *cobra.Command {
	var f routeFlags
	c := &cobra.Command{
		Use:   "route [FILE]",
		Short: "Say which routes an event takes and why, and what would be sent; nothing is",
		Long: `Say which handlers and destinations an event takes by grapnel.yaml, and why: by which
pattern, and whether the destination's condition (when) holds. Show what would be sent:
address, headers with secrets masked, and the body after transform. Nothing is sent.

FILE is a captured raw HTTP request, as for 'grapnel verify', or the body alone, which then
needs --source; - is standard input. Its signature is not judged. With --event the event is
read from Temporal, and the configuration here decides, not the one it was planned by.

Exit code 0 means that the event is handled or ignored, 1 that it becomes a dead letter at
once: no route takes it, or a condition or transform fails.`,
		Example: `  grapnel route request.txt
  grapnel route --source stripe --type invoice.paid body.json
  grapnel route --event 3f6c… --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if (f.event == "") == (len(args) == 0) {
				return &usageError{errors.New("name the file of an event, - for standard input, or an event of Temporal by --event")}
			}
			if f.event != "" && f.source+f.typ != "" {
				return &usageError{errors.New("an event of Temporal has its source and type; leave --source and --type out")}
			}
			return p.route(c.Context(), args, f)
		},
	}
	c.Flags().StringVar(&f.event, "event", "", "ID of an event that Temporal has")
	c.Flags().StringVar(&f.source, "source", "", "source of grapnel.yaml (default that of the request's path)")
	c.Flags().StringVar(&f.typ, "type", "", "type of the event (default what the source's rule reads)")
	c.Flags().BoolVar(&f.asJSON, "json", false, "write JSON")
	_ = c.RegisterFlagCompletionFunc("source", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		_, cfg, err := p.Configuration()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return slices.Sorted(maps.Keys(cfg.Sources)), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func (p Program) route(ctx context.Context, args []string, f routeFlags) error {
	_, cfg, err := p.Configuration()
	if err != nil {
		return err
	}
	var events []eventAndBody
	if f.event != "" {
		events, err = p.known(ctx, f.event)
	} else {
		events, err = p.incoming(cfg, args[0], f)
	}
	if err != nil {
		return err
	}
	ok := true
	for i, e := range events {
		r, err := p.Explain(ctx, cfg, e.Event, e.body)
		if err != nil {
			return err
		}
		if i > 0 && !f.asJSON {
			_, _ = io.WriteString(p.Stdout, "\n")
		}
		if err := p.writeRouting(r, f.asJSON); err != nil {
			return err
		}
		ok = ok && r.OK
	}
	if !ok {
		return errVerdict
	}
	return nil
}

// eventAndBody is an event with its body.
type eventAndBody struct {
	event.Event
	body []byte
}

// known reads an event from Temporal.
func (p Program) known(ctx context.Context, id string) ([]eventAndBody, error) {
	id = strings.ToLower(id)
	if !eventlog.IsID(id) {
		return nil, &usageError{errors.New("--event: an event ID has 64 hexadecimal digits")}
	}
	log, closer, err := p.eventLog(ctx)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	story, err := log.Show(ctx, id)
	if err != nil {
		return nil, err
	}
	return []eventAndBody{{story.Event, story.Body}}, nil
}

// requestLine is what tells a captured request from a body alone.
var requestLine = regexp.MustCompile(`^[A-Z]+ \S+ HTTP/[0-9.]+\r?\n`)

// incoming makes the events that the receiver would make of a request.
func (p Program) incoming(cfg *config.Config, file string, f routeFlags) ([]eventAndBody, error) {
	src, err := p.read(file)
	if err != nil {
		return nil, err
	}
	r := &verify.Request{Method: "POST", Header: verify.HTTPHeader{"Content-Type": {"application/json"}}, Body: src}
	if requestLine.Match(src) {
		if r, err = captureOf(src, file, ""); err != nil {
			return nil, err
		}
		if address, _, _ := strings.Cut(r.URL, "?"); f.source == "" {
			f.source = path.Base(address)
		}
	}
	if f.source == "" {
		return nil, &usageError{errors.New("the file holds a body alone; say by --source whose it is")}
	}
	s, err := p.configured(f.source)
	if err != nil {
		return nil, err
	}
	if r, err = s.Verifier.Decompress(r, maxPlain); err != nil {
		return nil, fmt.Errorf("the body can't be decompressed: %w", err)
	}
	parts, err := s.Verifier.Events(r)
	if err != nil {
		return nil, fmt.Errorf("the request is none of this sender's: %w", err)
	}
	kept := s.Kept(r.Header, cfg.Masker())
	events := make([]eventAndBody, len(parts))
	for i, part := range parts {
		events[i] = eventOf(s, part, f.typ)
		events[i].Headers = kept
	}
	return events, nil
}

// eventOf is the event of a request, or of a part of it. A type that is given takes the
// place of what the sender's rule reads.
func eventOf(s *config.Source, r *verify.Request, typ string) eventAndBody {
	read := s.Verifier.Identify(r)
	e := event.Event{
		Source: s.Name, Type: read.Type, SenderID: read.ID, Subject: read.Subject, Time: read.Time, Received: time.Now().UTC(),
	}
	for name, to := range map[string]*string{"Content-Type": &e.DataContentType, "Content-Encoding": &e.DataContentEncoding} {
		if values := r.Header.Values(name); len(values) > 0 {
			*to = values[0]
		}
	}
	e.ID, _ = provider.EventID(s.Verifier, s.Name, r)
	if typ != "" {
		e.Type = typ
	}
	return eventAndBody{e, r.Body}
}

func (p Program) writeRouting(r app.Routing, asJSON bool) error {
	if !asJSON {
		printRouting(p.Stdout, r)
		return nil
	}
	encoder := json.NewEncoder(p.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("write the routes: %w", err)
	}
	return nil
}

func printRouting(w io.Writer, r app.Routing) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	say("%s\nevent %s %s", event.Clean(r.Event.Summary(), 200), r.Event.ID, r.Outcome)
	for _, v := range r.Routes {
		word := "not  "
		switch {
		case v.Error != "":
			word = "fails"
		case v.Takes:
			word = "takes"
		}
		say("\n%s  %s %s: %s", word, v.Kind, v.Name, v.Why)
		if v.When != "" {
			say("       when: %s", legible(strings.TrimSpace(v.When)))
		}
		if v.Error != "" {
			say("       %s", legible(v.Error))
		}
		if v.Sends == nil {
			continue
		}
		say("       %s", legible(v.Sends.Does))
		for _, name := range slices.Sorted(maps.Keys(v.Sends.Headers)) {
			say("       %s: %s", name, legible(v.Sends.Headers[name]))
		}
		say("\n%s", legible(v.Body))
	}
}
