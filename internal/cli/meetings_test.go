package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/cli"
	"github.com/grapnel/grapnel/internal/meeting"
)

// fakeMeetings answers with the ledgers it has; pages are lists of workflow IDs.
type fakeMeetings struct {
	pages  [][]string
	views  map[string]meeting.View
	err    error
	closed bool
}

func (f *fakeMeetings) Close() { f.closed = true }

func (f *fakeMeetings) ListWorkflow(
	_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest,
) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	at := len(r.GetNextPageToken())
	if at >= len(f.pages) {
		return &workflowservice.ListWorkflowExecutionsResponse{}, nil
	}
	page := &workflowservice.ListWorkflowExecutionsResponse{NextPageToken: make([]byte, at+1)}
	for _, id := range f.pages[at] {
		page.Executions = append(page.Executions, &workflowpb.WorkflowExecutionInfo{
			Execution: &common.WorkflowExecution{WorkflowId: id},
		})
	}
	return page, nil
}

func (f *fakeMeetings) QueryWorkflow(_ context.Context, id, _, _ string, _ ...any) (converter.EncodedValue, error) {
	if f.err != nil {
		return nil, f.err
	}
	v, ok := f.views[id]
	if !ok {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(v)
	return client.NewValue(payloads), err
}

func runMeetings(t *testing.T, f *fakeMeetings, args ...string) (string, error) {
	t.Helper()
	cmd := cli.MeetingsCommand(func(*cobra.Command) (*fakeMeetings, error) { return f, nil })
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	require.True(t, f.closed, "the client was to be closed")
	return out.String(), err
}

// lines drops the blanks that line columns up.
func lines(out string) []string {
	var all []string
	for l := range strings.Lines(out) {
		all = append(all, strings.Join(strings.Fields(l), " "))
	}
	return all
}

func exampleMeetings() *fakeMeetings {
	three := time.Date(2023, 6, 20, 15, 0, 0, 0, time.UTC)
	return &fakeMeetings{
		pages: [][]string{{"meeting-a/b==", "meeting-a/b=="}, {"meeting-c==", "meeting-a/b=="}},
		views: map[string]meeting.View{
			"meeting-a/b==": {
				About: meeting.About{ID: "a/b==", Number: "987", Topic: "Weekly", Host: "h"}, State: meeting.Over,
				Started: three, Ended: three.Add(47 * time.Minute), Duration: "47m0s", People: 1,
				Attendance: []meeting.Attendee{{
					Person: meeting.Person{Key: "ann", Name: "Ann B"}, Left: three.Add(time.Hour),
					Joined: []time.Time{three, three.Add(time.Minute)},
				}},
				Recordings: []meeting.Recording{{Type: "MP4", Bytes: 5, URL: "https://zoom.example/p?a&b"}},
			},
			"meeting-c==": {About: meeting.About{ID: "c=="}, State: meeting.Open, People: 10000, Estimated: true},
		},
	}
}

func TestMeetingsListsEachMeetingOnce(t *testing.T) {
	out, err := runMeetings(t, exampleMeetings())
	require.NoError(t, err)
	require.Equal(t, []string{
		"TOPIC STARTED DURATION PEOPLE RECORDINGS STATE UUID",
		"Weekly 2023-06-20T15:00:00Z 47m0s 1 1 over a/b==",
		"- - - ~10000 0 open c==",
	}, lines(out))
}

func TestMeetingsListsNoMoreThanTheLimit(t *testing.T) {
	out, err := runMeetings(t, exampleMeetings(), "--limit", "1")
	require.NoError(t, err)
	require.Len(t, lines(out), 2)
}

func TestMeetingsSaysWhenThereAreNone(t *testing.T) {
	out, err := runMeetings(t, &fakeMeetings{})
	require.NoError(t, err)
	require.Contains(t, out, "No meetings yet")
}

func TestMeetingsShowsTheAttendanceOfOne(t *testing.T) {
	out, err := runMeetings(t, exampleMeetings(), "a/b==")
	require.NoError(t, err)
	require.Equal(t, []string{
		"Topic Weekly", "UUID a/b==", "Number 987", "Host h", "State over",
		"Started 2023-06-20T15:00:00Z", "Ended 2023-06-20T15:47:00Z", "Duration 47m0s", "People 1",
		"", "WHO JOINED LEFT VISITS",
		"Ann B 2023-06-20T15:00:00Z 2023-06-20T16:00:00Z 2",
		"", "RECORDING BYTES URL",
		"MP4 5 https://zoom.example/p?a&b",
	}, lines(out))
}

func TestMeetingsPrintsJSONForPrograms(t *testing.T) {
	f := exampleMeetings()
	out, err := runMeetings(t, f, "--json")
	require.NoError(t, err)
	var all []cli.Ledger
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	require.Equal(t, []cli.Ledger{
		{WorkflowID: "meeting-a/b==", View: f.views["meeting-a/b=="]},
		{WorkflowID: "meeting-c==", View: f.views["meeting-c=="]},
	}, all)

	out, err = runMeetings(t, f, "--json", "c==")
	require.NoError(t, err)
	var one cli.Ledger
	require.NoError(t, json.Unmarshal([]byte(out), &one))
	require.Equal(t, all[1], one)
}

func TestMeetingsSaysThatAMeetingIsNotKnown(t *testing.T) {
	_, err := runMeetings(t, exampleMeetings(), "nothing==")
	require.ErrorContains(t, err, "no meeting nothing== is known")
}

func TestMeetingsFailsWhenNoWorkerAnswersAndListsWhatThereIs(t *testing.T) {
	f := exampleMeetings()
	f.err = errors.New("no poller")
	out, err := runMeetings(t, f)
	require.ErrorContains(t, err, "a worker must be running: no poller")
	require.Contains(t, lines(out), "- - - - - unknown c==")
	_, err = runMeetings(t, f, "c==")
	require.ErrorContains(t, err, "a worker must be running: no poller")
}

func TestMeetingsTellsWhyItCouldNotConnect(t *testing.T) {
	cmd := cli.MeetingsCommand(func(*cobra.Command) (client.Client, error) { return nil, errors.New("no route") })
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{})
	require.ErrorContains(t, cmd.ExecuteContext(t.Context()), "no route")
}
