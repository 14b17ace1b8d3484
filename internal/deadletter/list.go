package deadletter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/payload"
)

// Summary is a dead letter as lists show it.
type Summary struct {
	ID      string    `json:"id" doc:"the event's ID"`
	Run     string    `json:"run" doc:"the run that is the dead letter"`
	Source  string    `json:"source"`
	Type    string    `json:"type,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time,omitzero" doc:"when it happened, as the sender says"`
	// Reason and the fields after it come from the letter's event.Outline.
	Reason    string    `json:"reason" doc:"why it is dead, in words that many events share"`
	Routes    []string  `json:"routes,omitempty" doc:"what is still to do"`
	Error     string    `json:"error,omitempty"`
	Attempts  int       `json:"attempts"`
	Replays   int       `json:"replays" doc:"earlier replays"`
	Corrected bool      `json:"corrected,omitempty"`
	Received  time.Time `json:"received,omitzero"`
	First     time.Time `json:"first_failed,omitzero"`
	Last      time.Time `json:"last_failed,omitzero"`
	Died      time.Time `json:"died,omitzero" doc:"when the run ended, from which retention counts"`
}

// ReasonUnknown is shown as the reason of letters that an earlier version wrote, without one.
const ReasonUnknown = "unknown (written by an earlier version)"

func summaryOf(info *workflowpb.WorkflowExecutionInfo) Summary {
	a, o := info.GetSearchAttributes(), payload.Memo[event.Outline](info.GetMemo(), event.MemoOutline)
	s := Summary{
		ID: info.GetExecution().GetWorkflowId(), Run: info.GetExecution().GetRunId(),
		Source: payload.Attribute[string](a, event.AttributeSource), Type: payload.Attribute[string](a, event.AttributeType),
		Subject: payload.Attribute[string](a, event.AttributeSubject), Time: payload.Attribute[time.Time](a, event.AttributeTime),
		Reason: o.Reason, Routes: o.Routes, Error: o.Error, Attempts: o.Attempts, Replays: o.Replays,
		Corrected: o.Corrected, Received: o.Received, First: o.First, Last: o.Last,
		Died: info.GetCloseTime().AsTime(),
	}
	if s.Reason == "" {
		s.Reason = ReasonUnknown
	}
	if s.Last.IsZero() {
		s.Last = s.Died
	}
	return s
}

func matchesFilter(f event.Filter, s Summary) bool {
	like := func(pattern, value string) bool { return pattern == "" || event.Match(pattern, value) }
	return like(f.Source, s.Source) && like(f.Type, s.Type) && like(f.Subject, s.Subject) && like(f.Reason, s.Reason) &&
		(f.Route == "" || slices.ContainsFunc(s.Routes, func(r string) bool { return event.Match(f.Route, r) })) &&
		strings.Contains(strings.ToLower(s.Error), strings.ToLower(f.Error)) &&
		(f.Since.IsZero() || !s.Last.Before(f.Since)) && (f.Until.IsZero() || s.Last.Before(f.Until)) &&
		(len(f.IDs) == 0 || slices.Contains(f.IDs, s.ID))
}

// Listing is the result of List.
type Listing struct {
	Letters []Summary `json:"dead_letters"`
	// Cut is set if Temporal has more letters than were looked at.
	Cut bool `json:"cut" doc:"whether there are more than the list holds"`
}

// Bounds of lists.
const (
	pageSize    = 1000    // letters in a page of Temporal's list
	MostListed  = 200_000 // letters that List looks at
	fewLetters  = 300     // up to this many are described one by one
	idsAtOnce   = 200     // IDs in a query
	callsAtOnce = 8       // calls of Temporal at the same time
	// describedInTurn is how many letters one goroutine describes, one after the other.
	describedInTurn = 10
)

// List returns the dead letters that match the filter, the latest first.
func (s *Store) List(ctx context.Context, f event.Filter) (Listing, error) {
	var all Listing
	all.Letters = []Summary{}
	seen := 0
	err := s.pages(ctx, f, func(page []Summary) bool {
		seen += len(page)
		for _, l := range page {
			if f.Limit > 0 && len(all.Letters) >= f.Limit || seen > MostListed {
				all.Cut = true
				return false
			}
			if matchesFilter(f, l) {
				all.Letters = append(all.Letters, l)
			}
		}
		return true
	})
	return all, err
}

// ListPage returns up to most dead letters that match the filter, and the cursor of the next page,
// which is empty after the last. An empty cursor begins. The error wraps ErrCursor if the cursor is
// not from this list.
func (s *Store) ListPage(ctx context.Context, f event.Filter, most int, cursor string) (letters []Summary, next string, err error) {
	token, err := tokenOf(f, cursor)
	if err != nil {
		return nil, "", err
	}
	letters, known := []Summary{}, map[string]bool{}
	for len(letters) == 0 {
		page, rest, err := s.listed(ctx, f, min(most, pageSize), token, known)
		if err == nil {
			page, err = s.alive(ctx, page)
		}
		if err != nil {
			return nil, "", err
		}
		for _, l := range page {
			if matchesFilter(f, l) {
				letters = append(letters, l)
			}
		}
		if token = rest; len(token) == 0 {
			return letters, "", nil
		}
	}
	return letters, cursorOf(f, token), nil
}

// cursorOf makes a cursor of Temporal's page token. It holds a checksum over filter and token,
// because Temporal answers an invalid token, or one of another list, late or with the wrong
// letters.
func cursorOf(f event.Filter, token []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(cursorSum(f, token), token...))
}

func tokenOf(f event.Filter, cursor string) ([]byte, error) {
	if cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) <= cursorSumLength || !bytes.Equal(raw[:cursorSumLength], cursorSum(f, raw[cursorSumLength:])) {
		return nil, ErrCursor
	}
	return raw[cursorSumLength:], nil
}

const cursorSumLength = 8

func cursorSum(f event.Filter, token []byte) []byte {
	f.Limit = 0
	filter, _ := json.Marshal(f) // A filter is text and times: it can't fail.
	sum := sha256.Sum256(append(filter, token...))
	return sum[:cursorSumLength]
}

// ErrCursor says that a cursor does not come from a page of this list.
var ErrCursor = errors.New("the cursor is not from this list; begin without a cursor")

// listed reads one page of Temporal's list, and the token of the next. Some of its letters may have
// been replayed since. known collects the IDs seen so far.
func (s *Store) listed(ctx context.Context, f event.Filter, most int, token []byte, known map[string]bool) ([]Summary, []byte, error) {
	r, err := s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.namespace, Query: visibilityQuery(f), PageSize: int32(most), NextPageToken: token, //nolint:gosec // G115: at most pageSize.
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list the dead letters: %w", err)
	}
	var page []Summary
	for _, info := range r.GetExecutions() {
		// The latest run of an event comes first.
		if l := summaryOf(info); !known[l.ID] {
			known[l.ID] = true
			page = append(page, l)
		}
	}
	return page, r.GetNextPageToken(), nil
}

// pages calls more with the letters of each page of Temporal's list that are still dead, until it
// returns false. While alive checks one page, the next is fetched.
func (s *Store) pages(ctx context.Context, f event.Filter, more func([]Summary) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	asked := make(chan []Summary, 1)
	g.Go(func() error {
		defer close(asked)
		known := map[string]bool{}
		var token []byte
		for {
			page, rest, err := s.listed(ctx, f, pageSize, token, known)
			if err != nil {
				return err
			}
			select {
			case asked <- page:
			case <-ctx.Done():
				return nil // The other goroutine, or the caller, has the error.
			}
			if token = rest; len(token) == 0 {
				return nil
			}
		}
	})
	enough := false
	g.Go(func() error {
		for page := range asked {
			page, err := s.alive(ctx, page)
			if err != nil {
				return err
			}
			if !more(page) {
				enough = true
				cancel()
				return nil
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil && !enough {
		return err //nolint:wrapcheck // Ours.
	}
	return nil
}

// visibilityQuery is the part of a filter that Temporal can apply; matchesFilter applies the rest.
func visibilityQuery(f event.Filter) string {
	q := Query
	exact := func(name, value string) {
		if value != "" && !strings.Contains(value, "*") {
			q += " AND " + name + " = " + event.QueryValue(value)
		}
	}
	exact(event.AttributeSource, f.Source)
	exact(event.AttributeType, f.Type)
	exact(event.AttributeSubject, f.Subject)
	if n := len(f.IDs); n > 0 && n <= idsAtOnce {
		q += " AND WorkflowId IN (" + quoted(f.IDs) + ")"
	}
	return q
}

func quoted(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = event.QueryValue(v)
	}
	return strings.Join(out, ", ")
}

// alive leaves out letters that were replayed or discarded but are still listed. Up to fewLetters
// are described one by one, which is exact; of more, those that the list shows a later run of are
// left out.
func (s *Store) alive(ctx context.Context, page []Summary) ([]Summary, error) {
	gone := make([]bool, len(page))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(callsAtOnce)
	look, most := s.markByCount, idsAtOnce
	if len(page) <= fewLetters {
		look, most = s.markEach, describedInTurn
	}
	for start := 0; start < len(page); start += most {
		end := min(start+most, len(page))
		g.Go(func() error { return look(ctx, page[start:end], gone[start:end]) })
	}
	if err := g.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // Ours.
	}
	kept := page[:0]
	for i, l := range page {
		if !gone[i] {
			kept = append(kept, l)
		}
	}
	return kept, nil
}

// markEach marks the letters that are not the latest run of their event.
func (s *Store) markEach(ctx context.Context, part []Summary, gone []bool) error {
	for i, l := range part {
		info, err := s.describe(ctx, l.ID, "")
		if err != nil && !errors.Is(err, ErrGone) {
			return err
		}
		gone[i] = err != nil || info.GetExecution().GetRunId() != l.Run
	}
	return nil
}

// markByCount marks the letters whose events have a later run. Usually none has, so it counts such
// runs first: Temporal's databases use an index on IDs for a count, but read every run in order for
// a list. If the count is not 0, each half is counted by itself.
func (s *Store) markByCount(ctx context.Context, part []Summary, gone []bool) error {
	ids := make([]string, len(part))
	for i, l := range part {
		ids[i] = l.ID
	}
	r, err := s.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: s.namespace,
		Query:     `ExecutionStatus != "Failed" AND ExecutionStatus != "ContinuedAsNew" AND WorkflowId IN (` + quoted(ids) + ")",
	})
	if err != nil {
		return fmt.Errorf("count what became of the dead letters: %w", err)
	}
	half := len(part) / 2
	switch {
	case r.GetCount() == 0:
		return nil
	case half < describedInTurn:
		return s.markEach(ctx, part, gone)
	}
	if err := s.markByCount(ctx, part[:half], gone[:half]); err != nil {
		return err
	}
	return s.markByCount(ctx, part[half:], gone[half:])
}

// Count returns how many dead letters Temporal lists; some of them may have been replayed since.
func (s *Store) Count(ctx context.Context) (int64, error) {
	r, err := s.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: s.namespace, Query: Query})
	if err != nil {
		return 0, fmt.Errorf("count the dead letters: %w", err)
	}
	return r.GetCount(), nil
}

// Group is the dead letters that share a value.
type Group struct {
	Value string    `json:"value"`
	Count int       `json:"count"`
	First time.Time `json:"first" doc:"the earliest last failure among them"`
	Last  time.Time `json:"last" doc:"the latest one"`
}

// GroupKeys are the keys of GroupBy.
func GroupKeys() []string { return []string{"reason", "route", "source", "type", "day"} }

// GroupBy groups letters by one of GroupKeys, the largest group first. By route, a letter with
// several routes counts once for each.
func GroupBy(letters []Summary, key string) []Group {
	found := map[string]*Group{}
	for _, l := range letters {
		for _, value := range groupValues(l, key) {
			g := found[value]
			if g == nil {
				g = &Group{Value: value, First: l.Last, Last: l.Last}
				found[value] = g
			}
			g.Count++
			if l.Last.Before(g.First) {
				g.First = l.Last
			}
			if l.Last.After(g.Last) {
				g.Last = l.Last
			}
		}
	}
	groups := make([]Group, 0, len(found))
	for _, g := range found {
		groups = append(groups, *g)
	}
	slices.SortFunc(groups, func(a, b Group) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Value, b.Value)
	})
	return groups
}

func groupValues(l Summary, key string) []string {
	switch key {
	case "route":
		if len(l.Routes) == 0 {
			return []string{"(none)"}
		}
		return l.Routes
	case "source":
		return []string{l.Source}
	case "type":
		return []string{l.Source + "/" + l.Type}
	case "day":
		return []string{l.Last.UTC().Format(time.DateOnly)}
	default:
		return []string{l.Reason}
	}
}
