package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/spool"
	"github.com/grapnel/grapnel/internal/telemetry"
)

func spoolCommand(p Program) *cobra.Command {
	c := &cobra.Command{
		Use:   "spool",
		Short: "Look at the events that wait on the receiver's own disk",
		Long: `Look at the events that a receiver keeps on its own disk, because Temporal could not take
them yet, and at those that Temporal refuses for good. While the receiver lives its
directory is locked, and its admin listener is asked; when nobody listens there, the
directory is read, and left as it is.`,
	}
	var admin string
	var limit int
	var all, asJSON bool
	list := &cobra.Command{
		Use: "list", Short: "List what waits, oldest first, and what was set aside", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var answer bytes.Buffer
			out := io.Writer(&answer)
			err := p.lookAtSpool(c, admin, "/spool?limit="+url.QueryEscape(strconv.Itoa(limit)), out, func(s *spool.Spool) error {
				l, err := app.ListSpool(s, limit)
				if err != nil {
					return err
				}
				return l.Write(out)
			})
			if err != nil || asJSON {
				_, _ = answer.WriteTo(p.Stdout)
				return err
			}
			return p.printSpool(&answer)
		},
	}
	list.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	limitFlag(list.Flags(), &limit, app.DefaultSpoolLimit, "how many to list at the most")
	export := &cobra.Command{
		Use: "export", Short: "Write everything with bodies, as JSON lines", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.lookAtSpool(c, admin, "/spool/export", p.Stdout, func(s *spool.Spool) error { return s.Export(p.Stdout) })
		},
	}
	retry := &cobra.Command{
		Use: "retry [SEQUENCE...]", Short: "Put what was set aside back into the queue",
		Long: `Put entries that Temporal refused for good back into the queue, by the sequence numbers
that list shows, or all of them with --all. Mend first what made Temporal refuse them: else
they are set aside again.`,
		RunE: func(c *cobra.Command, args []string) error {
			sequences, err := app.Sequences(args)
			if err == nil && all == (len(args) > 0) {
				err = errors.New("name the entries by their sequence numbers, or give --all")
			}
			if err != nil {
				return &usageError{err}
			}
			return p.retrySpool(c, admin, sequences)
		},
	}
	retry.Flags().BoolVar(&all, "all", false, "everything that was set aside")
	c.PersistentFlags().StringVar(&admin, "admin", "", "address of the admin listener (default http://$GRAPNEL_ADMIN_LISTEN)")
	c.AddCommand(list, export, retry)
	return c
}

// lookAtSpool asks the receiver, and where none listens reads its directory.
func (p Program) lookAtSpool(c *cobra.Command, admin, path string, out io.Writer, see func(*spool.Spool) error) error {
	p.Stdout = out
	asked := p.askAdmin(c, http.MethodGet, admin, path)
	if admin != "" || !errors.Is(asked, syscall.ECONNREFUSED) {
		return asked
	}
	o, err := p.spoolOptions()
	if err != nil {
		return err
	}
	if err := spool.View(o, see); err != nil {
		return fmt.Errorf("nobody answers on the admin listener (%w), and GRAPNEL_DATA_DIR can't be read in its stead: %w", asked, err)
	}
	return nil
}

// printSpool prints a list of the spool for people.
func (p Program) printSpool(answer io.Reader) error {
	var l struct {
		Stats struct {
			Depth, Refused  int
			Bytes, MaxBytes int64
		}
		Entries []spool.Listed
	}
	if err := json.NewDecoder(answer).Decode(&l); err != nil {
		return fmt.Errorf("read the answer of the admin listener: %w", err)
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	if len(l.Entries) > 0 {
		_, _ = fmt.Fprintln(w, "SEQUENCE\tRECEIVED\tSOURCE\tTYPE\tEVENT\tSIZE\tSET ASIDE")
	}
	for _, e := range l.Entries {
		var about event.Event
		_ = json.Unmarshal(e.Meta, &about) // What can't be read is set aside, and says why.
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%d\t%s\n", e.Sequence, shownTime(e.Received), about.Source,
			event.Attribute(about.Type), e.Key, e.Size, event.Clean(e.Reason, 200))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	s := l.Stats
	_, _ = fmt.Fprintf(p.Stdout, "%d waiting, %d set aside, %s of %s used\n", s.Depth, s.Refused, config.Size(s.Bytes), config.Size(s.MaxBytes))
	if shown := len(l.Entries); shown < s.Depth+s.Refused {
		_, _ = fmt.Fprintf(p.Stdout, "%d are shown; --limit N shows more\n", shown)
	}
	return nil
}

// retrySpool asks the receiver, and where none listens opens its directory.
func (p Program) retrySpool(c *cobra.Command, admin string, sequences []uint64) error {
	query := url.Values{}
	for _, n := range sequences {
		query.Add("sequence", strconv.FormatUint(n, 10))
	}
	asked := p.askAdmin(c, http.MethodPost, admin, "/spool/retry?"+query.Encode())
	if admin != "" || !errors.Is(asked, syscall.ECONNREFUSED) {
		return asked
	}
	o, err := p.spoolOptions()
	if err != nil {
		return err
	}
	if _, err := os.Stat(o.Path); err != nil {
		return fmt.Errorf("nobody answers on the admin listener (%w), and there is no spool to open in its stead: %w", asked, err)
	}
	s, err := spool.Open(o)
	if err != nil {
		return fmt.Errorf("nobody answers on the admin listener (%w), and GRAPNEL_DATA_DIR can't be opened in its stead: %w", asked, err)
	}
	n, err := s.Requeue(c.Context(), sequences...)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.Stdout, app.RetriedSpool(n))
	return err
}

// spoolOptions are those of the receiver's spool.
func (p Program) spoolOptions() (spool.Options, error) {
	env, err := p.Environment()
	if err != nil {
		return spool.Options{}, err
	}
	if env.DataDir == "" {
		env.DataDir = app.DefaultDataDir
	}
	log, err := telemetry.NewLogger("warn", "console", p.Stderr)
	if err != nil {
		return spool.Options{}, err
	}
	o := spool.Options{Path: filepath.Join(env.DataDir, "spool"), Logger: log}
	if cfg, err := config.Load(env.Config, p.Lookup); err == nil { // Else the bounds shown are the spool's own.
		o.MaxBytes, o.MaxAge = int64(cfg.Spool.MaxBytes), cfg.Spool.MaxAge
	}
	return o, nil
}

// askAdmin prints what the admin listener of the environment answers.
func (p Program) askAdmin(c *cobra.Command, method, base, path string) error {
	env, err := p.Environment()
	if err != nil {
		return err
	}
	if base == "" {
		base = "http://" + app.Dialable(env.AdminListen)
	}
	return p.ask(c.Context(), method, base+path, env.AdminToken.Reveal())
}
