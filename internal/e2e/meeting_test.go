package e2e_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/meeting"
	"github.com/grapnel/grapnel/workflows"
)

// meetings runs the worked example with meetings that settle soon.
type meetings struct {
	client     client.Client
	activities *activities.Activities
	// closing is called, within the workflow task, when a run is about to end
	// or to continue as new.
	closing func() error
}

func newMeetings(t *testing.T, c client.Client) *meetings {
	t.Helper()
	queue := t.Name()
	m := &meetings{
		client:     c,
		activities: activities.New(c, queue),
		closing:    func() error { return nil },
	}
	// closing calls Temporal from within a workflow task, which no workflow may.
	w := sdkworker.New(c, queue, sdkworker.Options{DeadlockDetectionTimeout: time.Minute})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, start meeting.Start) (meeting.Ledger, error) {
		start.Settle = 200 * time.Millisecond
		ledger, err := workflows.Meeting(ctx, start)
		if !workflow.IsReplaying(ctx) {
			if failed := m.closing(); failed != nil {
				return ledger, failed
			}
		}
		return ledger, err
	}, workflow.RegisterOptions{Name: meeting.Workflow})
	w.RegisterActivityWithOptions(m.activities.LastLedger, activity.RegisterOptions{Name: meeting.ActivityLastLedger})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return m
}

// handle hands an event to its handler again and again, as ProcessEvent would: Temporal may hold a
// signal back while its run closes, so that the attempt times out.
func (m *meetings) handle(ctx context.Context, typ, body string) error {
	e := event.Event{ID: event.IDByBody("zoom", []byte(body)), Source: "zoom", Type: typ, Received: time.Now()}
	for _, b := range m.activities.MeetingHandlers().All() {
		if !b.Matches(e) {
			continue
		}
		var err error
		for attempt := range b.Options.Retry.Attempts {
			if err = b.Run(ctx, e, attempt+1, []byte(body)); err == nil {
				return nil
			}
		}
		return err
	}
	return fmt.Errorf("no handler for %s", e.Name())
}

// ended waits for the latest run of a meeting and gives its ledger.
func (m *meetings) ended(t *testing.T, uuid string) (run string, ledger meeting.Ledger) {
	t.Helper()
	id := meeting.WorkflowID(uuid)
	latest, err := m.client.DescribeWorkflowExecution(t.Context(), id, "")
	require.NoError(t, err)
	run = latest.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	require.NoError(t, m.client.GetWorkflow(t.Context(), id, run).Get(t.Context(), &ledger))
	return run, ledger
}

// tellWhileClosing tells of a person while the first run is about to go. Only
// then: once it has refused to close a run, Temporal holds signals back until
// the next task has closed it. It counts the tasks that close a run, or try to.
func (m *meetings) tellWhileClosing(t *testing.T, uuid string) *atomic.Int32 {
	t.Helper()
	var closed atomic.Int32
	m.closing = func() error {
		if closed.Add(1) > 1 {
			return nil
		}
		return m.handle(t.Context(), "meeting.participant_joined", joinedBody(uuid, "late", 1))
	}
	return &closed
}

func joinedBody(uuid, person string, second int) string {
	return fmt.Sprintf(`{"event":"meeting.participant_joined","event_ts":%d,"payload":{"account_id":"a","object":{"uuid":%q,
		"id":"987","topic":"Weekly","participant":{"id":%q,"user_name":%q}}}}`, 1687276800000+1000*second, uuid, person, person)
}

func endedBody(uuid string) string {
	return fmt.Sprintf(`{"event":"meeting.ended","event_ts":1687279620000,"payload":{"account_id":"a","object":{"uuid":%q,
		"id":"987","topic":"Weekly","start_time":"2023-06-20T15:00:00Z","end_time":"2023-06-20T15:47:00Z"}}}`, uuid)
}

func TestMeetingHearsItsEventsInAnyOrderTwiceAndLate(t *testing.T) {
	t.Parallel()
	m := newMeetings(t, enginetest.Shared(t).Client)
	const uuid = "/order+C4rd9Tk3Eo/=="
	for range 2 {
		require.NoError(t, m.handle(t.Context(), "meeting.ended", endedBody(uuid)))
		require.NoError(t, m.handle(t.Context(), "meeting.participant_joined", joinedBody(uuid, "bob", 90)))
		require.NoError(t, m.handle(t.Context(), "participant_joined", joinedBody(uuid, "ann", 60)))
		require.NoError(t, m.handle(t.Context(), "meeting_started", fmt.Sprintf(`{"event":"meeting_started","payload":{
			"account_id":"a","object":{"uuid":%q,"id":987,"topic":"Weekly","host_id":"h","start_time":"2023-06-20T15:00:00Z"}},
			"event_ts":1687273200000}`, uuid)))
	}
	first, ledger := m.ended(t, uuid)
	v := ledger.View()
	require.Equal(t, meeting.Over, v.State)
	require.Equal(t, "47m0s", v.Duration)
	require.Equal(t, 2, v.People)
	require.Equal(t, "ann", v.Attendance[0].Name)

	require.NoError(t, m.handle(t.Context(), "recording.completed", fmt.Sprintf(`{"event":"recording.completed",
		"event_ts":1687290000000,"download_token":"t","payload":{"account_id":"a","object":{"uuid":%q,"id":987,"topic":"Weekly",
		"recording_files":[{"id":"f","file_type":"MP4","file_size":5,"play_url":"https://zoom.example/play"}]}}}`, uuid)))
	second, ledger := m.ended(t, uuid)
	require.NotEqual(t, first, second)
	v.Recordings = []meeting.Recording{{Type: "MP4", URL: "https://zoom.example/play", Bytes: 5}}
	require.Equal(t, v, ledger.View())

	answer, err := m.client.QueryWorkflow(t.Context(), meeting.WorkflowID(uuid), "", meeting.Query)
	require.NoError(t, err)
	var asked meeting.View
	require.NoError(t, answer.Get(&asked))
	require.Equal(t, v, asked)
}

func TestMeetingBeginsAnewAfterARunThatLeftNoLedger(t *testing.T) {
	t.Parallel()
	m := newMeetings(t, enginetest.Shared(t).Client)
	const uuid = "terminated=="
	require.NoError(t, m.handle(t.Context(), "meeting.participant_joined", joinedBody(uuid, "ann", 1)))
	require.NoError(t, m.client.TerminateWorkflow(t.Context(), meeting.WorkflowID(uuid), "", "by the test"))
	require.NoError(t, m.handle(t.Context(), "meeting.ended", endedBody(uuid)))
	_, ledger := m.ended(t, uuid)
	require.Equal(t, meeting.Over, ledger.View().State)
	require.Equal(t, 0, ledger.View().People)

	gone := meeting.Run{WorkflowID: meeting.WorkflowID("never=="), RunID: "2f1b0c3e-8d5a-4f6b-9c7d-0e1f2a3b4c5d"}
	none, err := m.activities.LastLedger(t.Context(), gone)
	require.NoError(t, err)
	require.Equal(t, meeting.Ledger{}, none)
}

func TestMeetingKeepsAFactThatComesWhileItsRunCloses(t *testing.T) {
	t.Parallel()
	m := newMeetings(t, enginetest.Shared(t).Client)
	const uuid = "race=="
	m.tellWhileClosing(t, uuid)
	require.NoError(t, m.handle(t.Context(), "meeting.ended", endedBody(uuid)))
	run, ledger := m.ended(t, uuid)
	require.Equal(t, 1, ledger.View().People)

	refused := 0
	history := m.client.GetWorkflowHistory(t.Context(), meeting.WorkflowID(uuid), run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for history.HasNext() {
		e, err := history.Next()
		require.NoError(t, err)
		if e.GetWorkflowTaskFailedEventAttributes().GetCause() == enums.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND {
			refused++
		}
	}
	require.Equal(t, 1, refused, "the engine was to refuse the run's end once")
}

func TestMeetingLosesNothingWhenItContinuesAsNew(t *testing.T) {
	t.Parallel()
	binary, err := enginetest.Binary()
	require.NoError(t, err)
	server, err := testsuite.StartDevServer(t.Context(), testsuite.DevServerOptions{
		ExistingPath:  binary,
		LogLevel:      "error",
		Stdout:        io.Discard,
		ClientOptions: &client.Options{Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))},
		ExtraArgs:     []string{"--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=30"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	m := newMeetings(t, server.Client())
	const uuid, people = "many==", 200
	closed := m.tellWhileClosing(t, uuid)
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(4)
	for i := range people {
		group.Go(func() error {
			return m.handle(ctx, "meeting.participant_joined", joinedBody(uuid, fmt.Sprint("person ", i), i))
		})
	}
	require.NoError(t, group.Wait())
	require.NoError(t, m.handle(t.Context(), "meeting.ended", endedBody(uuid)))
	_, ledger := m.ended(t, uuid)
	require.Positive(t, closed.Load(), "how often depends on how many signals a task finds")
	require.Equal(t, people+1, ledger.View().People)
}

// What is registered replays what it did: the worked example has runs in flight
// at a deploy as every workflow has.
func TestMeetingsHistoriesAreKept(t *testing.T) {
	t.Parallel()
	s := up(t, yaml(), nil)
	options := client.StartWorkflowOptions{TaskQueue: s.queue}
	id, soon := meeting.WorkflowID(t.Name()), meeting.Start{Settle: 200 * time.Millisecond, Patience: time.Hour}
	ended := meeting.Fact{Event: "e", Kind: meeting.Ended, Time: time.Date(2023, 6, 20, 15, 47, 0, 0, time.UTC)}
	first, err := s.client.SignalWithStartWorkflow(t.Context(), id, meeting.Signal, ended, options, meeting.Workflow, soon)
	require.NoError(t, err)
	require.NoError(t, first.Get(t.Context(), nil))
	keep(t, s, "meeting", id, first.GetRunID())

	soon.Previous = first.GetRunID()
	joined := meeting.Fact{Event: "j", Kind: meeting.Joined, Time: ended.Time, Person: meeting.Person{Key: "ann", Name: "Ann"}}
	second, err := s.client.SignalWithStartWorkflow(t.Context(), id, meeting.Signal, joined, options, meeting.Workflow, soon)
	require.NoError(t, err)
	var ledger meeting.Ledger
	require.NoError(t, second.Get(t.Context(), &ledger))
	require.Equal(t, 1, ledger.View().People)
	require.Equal(t, meeting.Over, ledger.View().State)
	keep(t, s, "meeting_late", id, second.GetRunID())
}
