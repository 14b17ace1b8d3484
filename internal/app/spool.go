package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/program"
	"github.com/grapnel/grapnel/internal/spool"
	"github.com/grapnel/grapnel/internal/telemetry"
)

// openSpool opens the receiver's disk queue. Without a data directory there is no queue, and the
// receiver works without it.
func (p *process) openSpool(which Parts) error {
	if !which.Receiver || p.env.DataDir == "" {
		return nil
	}
	s, err := spool.Open(spool.Options{
		Path: filepath.Join(p.env.DataDir, "spool"), MaxBytes: int64(p.config.Spool.MaxBytes),
		MaxAge: p.config.Spool.MaxAge, Logger: p.log,
	})
	if err != nil {
		return err
	}
	p.spool = s
	p.whenClosed(func(context.Context) {
		if err := s.Close(); err != nil {
			p.log.Error("close the spool", zap.Error(err))
		}
	})
	return measureSpool(p.observer.metrics, s)
}

// measureSpool registers the gauges of the spool.
func measureSpool(m *telemetry.Metrics, s *spool.Spool) error {
	for name, value := range map[string]func(spool.Stats) float64{
		telemetry.MetricSpoolDepth:   func(s spool.Stats) float64 { return float64(s.Depth) },
		telemetry.MetricSpoolBytes:   func(s spool.Stats) float64 { return float64(s.Bytes) },
		telemetry.MetricSpoolMax:     func(s spool.Stats) float64 { return float64(s.MaxBytes) },
		telemetry.MetricSpoolAge:     func(s spool.Stats) float64 { return s.OldestAge.Seconds() },
		telemetry.MetricSpoolDrain:   func(s spool.Stats) float64 { return s.DrainRate },
		telemetry.MetricSpoolRefused: func(s spool.Stats) float64 { return float64(s.Refused) },
		telemetry.MetricSpoolFailed:  func(s spool.Stats) float64 { return oneIf(s.Failed) },
	} {
		if err := m.Observe(name, func(say func(float64, ...string)) { say(value(s.Stats())) }); err != nil {
			return fmt.Errorf("measure the spool: %w", err)
		}
	}
	return nil
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// SpoolList is the answer of GET /spool and the output of `grapnel spool list`.
type SpoolList struct {
	Stats   spool.Stats    `json:"stats"`
	Entries []spool.Listed `json:"entries"`
}

// ListSpool lists up to limit entries of a spool, in the order of spool.List.
func ListSpool(s *spool.Spool, limit int) (SpoolList, error) {
	entries, err := s.List(limit)
	return SpoolList{Stats: s.Stats(), Entries: entries}, err
}

// Write writes the list as JSON.
func (l SpoolList) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(l); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return nil
}

// Sequences parses sequence numbers of a spool's entries.
func Sequences(texts []string) ([]uint64, error) {
	var sequences []uint64
	for _, text := range texts {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a sequence number; '%s' shows them", text, program.Command("spool list"))
		}
		sequences = append(sequences, n)
	}
	return sequences, nil
}

// RetriedSpool says in words how many entries were put back into the queue.
func RetriedSpool(n int) string {
	if n == 1 {
		return "1 entry is back in the queue"
	}
	return fmt.Sprintf("%d entries are back in the queue", n)
}

// DefaultSpoolLimit is how many entries of a spool are listed if no limit is given.
const DefaultSpoolLimit = 100

// spoolRoutes serve the spool on the admin listener. The process locks the spool's directory, so a
// command can read it only through these routes.
func spoolRoutes(s *spool.Spool) []admin.Route {
	if s == nil {
		return nil
	}
	list := func(w http.ResponseWriter, r *http.Request) {
		limit, err := admin.Limit(r, DefaultSpoolLimit)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		entries, err := ListSpool(s, limit)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = entries.Write(w) // the client left
	}
	export := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		// An export takes as long as the disk needs.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		if err := s.Export(w); err != nil {
			panic(http.ErrAbortHandler) // cut off, so that it does not look complete
		}
	}
	retry := func(w http.ResponseWriter, r *http.Request) {
		sequences, err := Sequences(r.URL.Query()["sequence"])
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		n, err := s.Requeue(r.Context(), sequences...)
		switch {
		case errors.Is(err, spool.ErrNotAside):
			http.Error(w, err.Error(), http.StatusNotFound)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			_, _ = fmt.Fprintln(w, RetriedSpool(n)) // the client left
		}
	}
	return []admin.Route{
		{Pattern: "POST /spool/retry", About: "put what was set aside back into the queue; ?sequence=", Handler: http.HandlerFunc(retry)},
		{Pattern: "GET /spool", About: "what waits on disk, oldest first; ?limit=", Handler: http.HandlerFunc(list)},
		{Pattern: "GET /spool/export", About: "the same with bodies, as JSON lines", Handler: http.HandlerFunc(export)},
	}
}
