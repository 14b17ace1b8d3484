package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	"github.com/grapnel/grapnel/internal/meeting"
	"github.com/grapnel/grapnel/internal/program"
)

// meetingsClient is what the command needs of a Temporal client.
type meetingsClient interface {
	ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (
		*workflowservice.ListWorkflowExecutionsResponse, error)
	QueryWorkflow(ctx context.Context, workflowID, runID, queryType string, args ...any) (converter.EncodedValue, error)
	Close()
}

// printedMeeting is one meeting as the command prints it.
type printedMeeting struct {
	WorkflowID string `json:"workflowId"`
	meeting.View
	// Error is why the meeting could not be asked.
	Error string `json:"error,omitempty"`
}

// meetingsCommand shows the meetings of the worked example. It asks their
// workflows, so a worker must be running.
func meetingsCommand[C meetingsClient](dial func(*cobra.Command) (C, error)) *cobra.Command {
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "meetings [UUID]",
		Short: "List the meetings that Zoom's events told of, or show one",
		Long: `Lists the latest meetings, or shows who attended the one with the given UUID and
what was recorded. The ledgers live in the workflows of type Meeting, which the
Web UI shows too; a worker must be running to answer for them.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if len(args) == 1 {
				return showMeeting(cmd, c, args[0], asJSON)
			}
			return listMeetings(cmd, c, limit, asJSON)
		},
	}
	limitFlag(cmd.Flags(), &limit, 20, "how many meetings to list at the most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func showMeeting(cmd *cobra.Command, c meetingsClient, uuid string, asJSON bool) error {
	id := meeting.WorkflowID(uuid)
	view, err := askMeeting(cmd.Context(), c, id)
	if missing := new(serviceerror.NotFound); errors.As(err, &missing) {
		return fmt.Errorf("no meeting %s is known; '%s' lists those that are", uuid, program.Command("meetings"))
	}
	if err != nil {
		return fmt.Errorf("asking meeting %s, for which a worker must be running: %w", uuid, err)
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), printedMeeting{WorkflowID: id, View: view})
	}
	return printMeeting(cmd.OutOrStdout(), view)
}

func listMeetings(cmd *cobra.Command, c meetingsClient, limit int, asJSON bool) error {
	ids, err := meetingIDs(cmd.Context(), c, limit)
	if err != nil {
		return fmt.Errorf("listing the meetings: %w", err)
	}
	all := askMeetings(cmd.Context(), c, ids)
	if asJSON {
		err = printJSON(cmd.OutOrStdout(), all)
	} else {
		err = printMeetings(cmd.OutOrStdout(), all)
	}
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Error != "" {
			return fmt.Errorf("could not ask every meeting, for which a worker must be running: %s", l.Error)
		}
	}
	return nil
}

// meetingIDs gives the workflow IDs of the latest meetings, each once: a meeting
// that heard of a late event has several runs.
func meetingIDs(ctx context.Context, c meetingsClient, limit int) ([]string, error) {
	request := &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf(`WorkflowType = %q AND ExecutionStatus != "ContinuedAsNew"`, meeting.Workflow),
	}
	var ids []string
	seen := map[string]bool{}
	for {
		page, err := c.ListWorkflow(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, e := range page.GetExecutions() {
			id := e.GetExecution().GetWorkflowId()
			if len(ids) < limit && !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
		request.NextPageToken = page.GetNextPageToken()
		if len(ids) >= limit || len(request.NextPageToken) == 0 {
			return ids, nil
		}
	}
}

// askMeetings asks some at a time, and keeps their order.
func askMeetings(ctx context.Context, c meetingsClient, ids []string) []printedMeeting {
	all := make([]printedMeeting, len(ids))
	var group errgroup.Group
	group.SetLimit(8)
	for i, id := range ids {
		group.Go(func() error {
			view, err := askMeeting(ctx, c, id)
			all[i] = printedMeeting{WorkflowID: id, View: view}
			if err != nil {
				all[i].Error = err.Error()
			}
			return nil
		})
	}
	_ = group.Wait() // None fails: each error stands beside its meeting.
	return all
}

// askTimeout is how long one meeting may take to answer. The worker may have to
// read its history first.
const askTimeout = 10 * time.Second

func askMeeting(ctx context.Context, c meetingsClient, id string) (view meeting.View, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := c.QueryWorkflow(ctx, id, "", meeting.Query)
	if err != nil {
		return view, err
	}
	return view, answer.Get(&view)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
