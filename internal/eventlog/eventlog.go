// Package eventlog finds events in Temporal and tells what became of one: its
// attempts, what it waits for, and why. Temporal is the only store. What it lists
// may be a second behind the truth; what it shows of one event is the truth.
package eventlog

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/event"
)

// State is what an event is now.
type State string

// The states.
const (
	// Running is an event that is being handled, or waits for its next attempt.
	Running State = "running"
	// Handled is one that every route has taken.
	Handled State = "handled"
	// Dead is a dead letter.
	Dead State = "dead"
	// Discarded is a dead letter that needs no handling.
	Discarded State = "discarded"
	// Broken is one whose workflow ended as no plan foresees.
	Broken State = "broken"
)

// States lists them.
func States() []State { return []State{Running, Handled, Dead, Discarded, Broken} }

// typeDiscarded is the workflow type of discarded dead letters.
const typeDiscarded = event.Discarded

// ErrUnknown says that Temporal knows no such event.
var ErrUnknown = errors.New("Temporal knows no such event; it keeps closed ones as long as its retention says")

// Filter says which events are meant. What is empty matches all; * stands for any text
// in source, type, subject, route and reason, as it does where dead letters are operated.
type Filter struct {
	Source, Type, Subject, Route, Reason string
	// Error is a text that the failure of a dead letter has to hold.
	Error string
	State State
	// Since and Until bound when the latest run began, and in Match when the event last failed.
	Since, Until time.Time
	// Changed leaves out what neither began nor ended since then.
	Changed time.Time
	// Limit is how many are given; 0 is 100.
	Limit int
}

// query is the filter in Temporal's words.
func (f Filter) query() string {
	var all []string
	// A list knows no more of a pattern than how it begins; says judges the rest.
	like := func(name, pattern string) {
		prefix, _, open := strings.Cut(pattern, "*")
		switch {
		case open && prefix != "":
			all = append(all, name+" STARTS_WITH "+event.QueryValue(prefix))
		case !open && pattern != "":
			all = append(all, name+" = "+event.QueryValue(pattern))
		}
	}
	const open = `WorkflowType = "` + event.ProcessEvent + `"`
	switch f.State {
	case Running:
		all = append(all, open, `ExecutionStatus = "Running"`)
	case Handled:
		all = append(all, open, `ExecutionStatus = "Completed"`)
	case Dead:
		all = append(all, `WorkflowType = "`+event.DeadLetter+`"`, `ExecutionStatus = "Failed"`)
	case Discarded:
		all = append(all, `WorkflowType = "`+typeDiscarded+`"`)
	case Broken:
		all = append(all, open, `ExecutionStatus IN ("Failed", "Terminated", "TimedOut", "Canceled")`)
	default:
		all = append(all, `WorkflowType IN ("`+event.ProcessEvent+`", "`+event.DeadLetter+`", "`+typeDiscarded+`")`,
			`ExecutionStatus != "ContinuedAsNew"`)
	}
	like(event.AttributeSource, f.Source)
	like(event.AttributeSubject, f.Subject)
	like(event.AttributeType, f.Type)
	if !f.Changed.IsZero() {
		at := event.QueryValue(f.Changed.UTC().Format(time.RFC3339Nano))
		all = append(all, "(StartTime >= "+at+" OR CloseTime >= "+at+")")
	}
	if !f.Since.IsZero() {
		all = append(all, "StartTime >= "+event.QueryValue(f.Since.UTC().Format(time.RFC3339Nano)))
	}
	if !f.Until.IsZero() {
		all = append(all, "StartTime < "+event.QueryValue(f.Until.UTC().Format(time.RFC3339Nano)))
	}
	return strings.Join(all, " AND ")
}

// Row is one event of a list.
type Row struct {
	ID      string    `json:"id"`
	Run     string    `json:"run"`
	State   State     `json:"state"`
	Source  string    `json:"source"`
	Type    string    `json:"type"`
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time,omitzero"`
	// Started is when its latest run began, Ended when that ended.
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	// Reason is why a dead letter is one, where its run says so.
	Reason string `json:"reason,omitempty"`
	Route  string `json:"-"`
	// Error is the first line of what a dead letter failed with, Routes what it has
	// left to do.
	Error    string   `json:"error,omitempty"`
	Routes   []string `json:"routes,omitempty"`
	Attempts int      `json:"attempts,omitempty"`
	Replays  int      `json:"replays,omitempty"`
	// LastFailed is when a dead letter last failed, where its memo says so.
	LastFailed time.Time `json:"last_failed,omitzero"`
}

// Log reads events. Make one with New.
type Log struct {
	temporal  client.Client
	namespace string
	converter converter.DataConverter
}

// New makes one. The converter is that of the client; nil is the SDK's own.
func New(c client.Client, namespace string, dc converter.DataConverter) *Log {
	if dc == nil {
		dc = converter.GetDefaultDataConverter()
	}
	return &Log{temporal: c, namespace: namespace, converter: dc}
}

// defaultLimit is the length of a list where nothing else is said.
const defaultLimit = 100

// List gives the latest events, the latest run of each, and whether there are
// more.
func (l *Log) List(ctx context.Context, f Filter) (rows []Row, more bool, err error) {
	limit := f.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	seen := map[string]bool{}
	var token []byte
	for {
		page, err := l.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: l.namespace, Query: f.query(), PageSize: int32(min(limit+50, 1000)), NextPageToken: token,
		})
		if err != nil {
			return nil, false, fmt.Errorf("list events: %w", err)
		}
		for _, x := range page.GetExecutions() {
			row := rowOf(x)
			if seen[row.ID] {
				continue // An earlier run of an event that was replayed.
			}
			if !f.says(row) {
				continue
			}
			if len(rows) == limit {
				return rows, true, nil
			}
			seen[row.ID] = true
			rows = append(rows, row)
		}
		if token = page.GetNextPageToken(); len(token) == 0 {
			return rows, false, nil
		}
	}
}

// says tells what the query can't: the rest of a pattern, and whether a row is dead as the
// filter means. The memo of its run says that in every namespace, the search attributes
// only where they are set up.
func (f Filter) says(r Row) bool {
	like := func(pattern, value string) bool { return pattern == "" || event.Match(pattern, value) }
	return like(f.Source, r.Source) && like(f.Type, r.Type) && like(f.Subject, r.Subject) && like(f.Reason, r.Reason) &&
		(f.Route == "" || slices.ContainsFunc(r.Routes, func(route string) bool { return event.Match(f.Route, route) }) || r.Route == f.Route) &&
		(f.Error == "" || strings.Contains(strings.ToLower(r.Error), strings.ToLower(f.Error)))
}

// Count counts runs, at most one of each event that is not under replay.
func (l *Log) Count(ctx context.Context, f Filter) (int64, error) {
	r, err := l.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: l.namespace, Query: f.query()})
	if err != nil {
		return 0, fmt.Errorf("count events: %w", err)
	}
	return r.GetCount(), nil
}

// OldestRunning is when the event began that has been handled for the longest;
// zero without any.
func (l *Log) OldestRunning(ctx context.Context) (n int64, oldest time.Time, err error) {
	if n, err = l.Count(ctx, Filter{State: Running}); err != nil || n == 0 {
		return n, oldest, err
	}
	// SQL stores can't sort; the oldest lie at the end of the last page, and a
	// backlog too large to read is old in any case.
	const most = 5
	var token []byte
	for range most {
		page, err := l.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: l.namespace, Query: Filter{State: Running}.query(), PageSize: 1000, NextPageToken: token,
		})
		if err != nil {
			return n, oldest, fmt.Errorf("list events under way: %w", err)
		}
		for _, x := range page.GetExecutions() {
			if at := x.GetStartTime().AsTime(); oldest.IsZero() || at.Before(oldest) {
				oldest = at
			}
		}
		if token = page.GetNextPageToken(); len(token) == 0 {
			break
		}
	}
	return n, oldest, nil
}

func rowOf(x *workflowpb.WorkflowExecutionInfo) Row {
	a := x.GetSearchAttributes().GetIndexedFields()
	row := Row{
		ID: x.GetExecution().GetWorkflowId(), Run: x.GetExecution().GetRunId(), State: stateOf(x),
		Started: x.GetStartTime().AsTime(),
	}
	if x.GetCloseTime().IsValid() && x.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		row.Ended = x.GetCloseTime().AsTime()
	}
	for name, to := range map[string]any{
		event.AttributeSource: &row.Source, event.AttributeType: &row.Type, event.AttributeSubject: &row.Subject,
		event.AttributeTime: &row.Time, event.AttributeReason: &row.Reason, event.AttributeRoute: &row.Route,
	} {
		if p, ok := a[name]; ok {
			// What does not decode was not written by us: as if it were not there.
			_ = converter.GetDefaultDataConverter().FromPayload(p, to)
		}
	}
	if row.State == Dead {
		row.outline(x.GetMemo().GetFields()[event.MemoOutline])
	}
	return row
}

// outline adds what the memo of a dead letter says.
func (r *Row) outline(p *commonpb.Payload) {
	var o event.Outline
	if p == nil || converter.GetDefaultDataConverter().FromPayload(p, &o) != nil {
		return
	}
	r.Reason, r.Error, r.Routes, r.Attempts, r.Replays = o.Reason, o.Error, o.Routes, o.Attempts, o.Replays
	r.Route, r.LastFailed = strings.Join(o.Routes, ", "), o.Last
}

func stateOf(x *workflowpb.WorkflowExecutionInfo) State {
	kind, status := x.GetType().GetName(), x.GetStatus()
	switch {
	case kind == typeDiscarded:
		return Discarded
	case kind == event.DeadLetter && status == enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:
		return Dead
	case status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, status == enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
		return Running
	case status == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return Handled
	default:
		return Broken
	}
}

var idForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// IsID tells whether a text has the form of an event ID.
func IsID(s string) bool { return idForm.MatchString(s) }

// ParseTime reads a time as people write it: RFC 3339, a date, a date and time
// (UTC), or how long ago, as 90m, 12h or 3d.
func ParseTime(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	text := s
	var days int
	if n, rest, ok := strings.Cut(s, "d"); ok {
		var err error
		if days, err = strconv.Atoi(n); err != nil || days < 0 {
			return time.Time{}, fmt.Errorf("%q is no time; write 2026-01-31, 2026-01-31T15:04:05Z, or how long ago: 90m, 12h, 3d", s)
		}
		text = rest
	}
	var d time.Duration
	if text != "" {
		var err error
		if d, err = time.ParseDuration(text); err != nil || d < 0 {
			return time.Time{}, fmt.Errorf("%q is no time; write 2026-01-31, 2026-01-31T15:04:05Z, or how long ago: 90m, 12h, 3d", s)
		}
	}
	return now.Add(-d - time.Duration(days)*24*time.Hour), nil
}
