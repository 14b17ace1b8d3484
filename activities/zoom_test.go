package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/meeting"
)

// fakeTemporal remembers what it was signalled.
type fakeTemporal struct {
	client.Client
	latest      string
	describeErr error
	signalErr   error
	runs        bool // A workflow of the meeting runs.
	described   int

	workflowID string
	fact       meeting.Fact
	options    client.StartWorkflowOptions
	start      meeting.Start
}

func (f *fakeTemporal) DescribeWorkflowExecution(
	context.Context, string, string,
) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	f.described++
	if f.describeErr != nil {
		return nil, f.describeErr
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
			Execution: &common.WorkflowExecution{RunId: f.latest},
		},
	}, nil
}

func (f *fakeTemporal) SignalWorkflow(_ context.Context, id, _, _ string, fact any) error {
	if !f.runs {
		return serviceerror.NewNotFound("workflow not found for ID: " + id)
	}
	f.workflowID, f.fact = id, fact.(meeting.Fact)
	return f.signalErr
}

//nolint:revive // argument-limit: the SDK's signature.
func (f *fakeTemporal) SignalWithStartWorkflow(
	_ context.Context, id, _ string, fact any, o client.StartWorkflowOptions, _ any, args ...any,
) (client.WorkflowRun, error) {
	f.workflowID, f.fact, f.options, f.start = id, fact.(meeting.Fact), o, args[0].(meeting.Start)
	return nil, f.signalErr
}

// handle hands a body to the handler of its type and gives what that told.
func handle(f *fakeTemporal, typ, body string) error {
	e := event.Event{ID: "id-1", Source: "zoom", Type: typ, Received: time.UnixMilli(1687000000000)}
	for _, b := range activities.New(f, "queue").MeetingHandlers().All() {
		if b.Matches(e) {
			return b.Run(context.Background(), e, 1, []byte(body))
		}
	}
	return errors.New("no handler for " + e.Name())
}

func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func TestZoomsEventsBecomeFacts(t *testing.T) {
	about := meeting.About{ID: "/ab+c==", Number: "987654321", Topic: "Weekly Team Meeting", Host: "user123"}
	object := func(rest string) string {
		return `{"event":"x","event_ts":1687276800000,"payload":{"account_id":"account123","object":{"uuid":"/ab+c==",
			"id":987654321,"host_id":"user123","topic":"Weekly Team Meeting","type":2,"duration":60,"timezone":"UTC"` + rest + `}}}`
	}
	tests := []struct {
		name, body string
		types      []string
		want       meeting.Fact
	}{
		{
			"a start is when the meeting says it was", object(`,"start_time":"2023-06-20T17:00:00+02:00"`),
			[]string{"meeting.started", "meeting_started"},
			meeting.Fact{Kind: meeting.Started, Time: moment("2023-06-20T15:00:00Z"), About: about},
		},
		{
			"a start without a time is when the event happened", object(`,"start_time":""`),
			[]string{"meeting.started", "meeting_started"},
			meeting.Fact{Kind: meeting.Started, Time: moment("2023-06-20T16:00:00Z"), About: about},
		},
		{
			"an end tells the beginning too", object(`,"start_time":"2023-06-20T15:00:00Z","end_time":"2023-06-20T15:47:00Z"`),
			[]string{"meeting.ended", "meeting_ended"},
			meeting.Fact{
				Kind: meeting.Ended, About: about, Time: moment("2023-06-20T15:47:00Z"), Began: moment("2023-06-20T15:00:00Z"),
			},
		},
		{
			"a Zoom user is known by ID", object(`,"participant":{"user_id":16778240,"user_name":"Ann","id":"u1",
				"email":"ann@example.com","join_time":"2023-06-20T15:01:00Z"}`),
			[]string{"meeting.participant_joined", "participant_joined"},
			meeting.Fact{
				Kind: meeting.Joined, About: about, Time: moment("2023-06-20T15:01:00Z"),
				Person: meeting.Person{Key: "u1", Name: "Ann"},
			},
		},
		{
			"a guest is known by name", object(`,"participant":{"user_id":"16778240","user_name":"Bob","id":"","email":"",
				"leave_time":"2023-06-20T15:30:00Z"}`),
			[]string{"meeting.participant_left", "participant_left"},
			meeting.Fact{
				Kind: meeting.Left, About: about, Time: moment("2023-06-20T15:30:00Z"),
				Person: meeting.Person{Key: "Bob", Name: "Bob"},
			},
		},
		{
			"a recording has its files, and no token", object(`,"recording_files":[
				{"id":"1","file_type":"MP4","file_size":524288000,"recording_type":"speaker_view",
				 "play_url":"https://zoom.us/rec/play/1","download_url":"https://zoom.us/rec/download/1"},
				{"id":"2","file_type":"CHAT","file_size":12,"download_url":"https://zoom.us/rec/download/2"}]`),
			[]string{"recording.completed", "recording_completed"},
			meeting.Fact{
				Kind: meeting.Recorded, About: about, Time: moment("2023-06-20T16:00:00Z"),
				Recordings: []meeting.Recording{
					{Type: "speaker_view", URL: "https://zoom.us/rec/play/1", Bytes: 524288000},
					{Type: "CHAT", URL: "https://zoom.us/rec/download/2", Bytes: 12},
				},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Event = "id-1"
			for _, typ := range tt.types {
				f := &fakeTemporal{latest: "run-1"}
				require.NoError(t, handle(f, typ, tt.body))
				require.Equal(t, tt.want, f.fact)
				require.Equal(t, "meeting-/ab+c==", f.workflowID)
				require.Equal(t, meeting.Start{Previous: "run-1"}, f.start)
				require.Equal(t, "queue", f.options.TaskQueue)
				require.Equal(t, "Weekly Team Meeting", f.options.StaticSummary)
			}
		})
	}
}

func TestAFactOfAMeetingThatRunsCostsOneSignal(t *testing.T) {
	f := &fakeTemporal{runs: true}
	require.NoError(t, handle(f, "meeting.started", `{"payload":{"object":{"uuid":"a"}}}`))
	require.Equal(t, "meeting-a", f.workflowID)
	require.Equal(t, meeting.Started, f.fact.Kind)
	require.Zero(t, f.described)
	require.Empty(t, f.options.TaskQueue, "nothing is started")
}

func TestAMeetingWithoutAUUIDIsKnownByItsNumber(t *testing.T) {
	for _, id := range []string{`12345678901234567890`, `"12345678901234567890"`} {
		f := &fakeTemporal{describeErr: serviceerror.NewNotFound("no such workflow")}
		require.NoError(t, handle(f, "meeting_started", `{"payload":{"object":{"id":`+id+`}}}`))
		require.Equal(t, "meeting-12345678901234567890", f.workflowID)
		require.Equal(t, meeting.Start{}, f.start)
		// No time at all: when the receiver had read it.
		require.Equal(t, time.UnixMilli(1687000000000).UTC(), f.fact.Time)
	}
}

func TestATimeThatJSONCannotWriteIsNoReasonToFail(t *testing.T) {
	f := &fakeTemporal{}
	require.NoError(t, handle(f, "meeting.started", `{"event_ts":9223372036854775807,"payload":{"object":{"uuid":"a"}}}`))
	_, err := json.Marshal(f.fact)
	require.NoError(t, err)
}

func TestWhatNoAttemptCanMendIsPermanent(t *testing.T) {
	tests := []struct{ name, body string }{
		{"a payload without uuid and id", `{"payload":{"object":{"topic":"Weekly"}}}`},
		{"a payload without object", `{"payload":{}}`},
		{"a time that is none", `{"payload":{"object":{"uuid":"a","start_time":"yesterday"}}}`},
		{"a time past the year 9999", `{"payload":{"object":{"uuid":"a","start_time":"9999-12-31T23:59:59-23:59"}}}`},
		{"an id that is a list", `{"payload":{"object":{"id":[1]}}}`},
		{"a body that is no JSON", `<xml/>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeTemporal{}
			err := handle(f, "meeting.started", tt.body)
			require.Error(t, err)
			require.True(t, handler.IsPermanent(err), err)
			require.Empty(t, f.workflowID)
		})
	}
}

func TestAnEngineThatIsAwayIsWorthAnotherAttempt(t *testing.T) {
	away := serviceerror.NewUnavailable("away")
	for _, f := range []*fakeTemporal{{describeErr: away}, {signalErr: away}, {runs: true, signalErr: away}} {
		err := handle(f, "meeting.started", `{"payload":{"object":{"uuid":"a"}}}`)
		require.ErrorIs(t, err, away)
		require.False(t, handler.IsPermanent(err))
	}
}

func FuzzAnyBodyIsAFactThatJSONCanCarryOrAPermanentFailure(f *testing.F) {
	f.Add("recording.completed", `{"payload":{"object":{"uuid":"a","recording_files":[{"file_size":1}]}}}`)
	f.Add("meeting.ended", `{"event_ts":-1,"payload":{"object":{"id":1e21,"end_time":"9999-12-31T23:59:59-23:59"}}}`)
	f.Add("meeting.participant_joined", `{"payload":{"object":{"uuid":null,"id":-7,"participant":{"id":"\ud800"}}}}`)
	f.Fuzz(func(t *testing.T, typ, body string) {
		fake := &fakeTemporal{}
		if err := handle(fake, typ, body); err != nil {
			return
		}
		require.Equal(t, fake.workflowID, meeting.WorkflowID(fake.fact.About.ID))
		_, err := json.Marshal(fake.fact)
		require.NoError(t, err)
		var l meeting.Ledger
		l.Apply(fake.fact)
		_, err = json.Marshal(l)
		require.NoError(t, err)
		l.View().Markdown()
	})
}
