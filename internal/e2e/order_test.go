package e2e_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
	"github.com/grapnel/grapnel/internal/event"
)

// told is what the order workflow reads of the event that a signal brings.
type told struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data struct {
		Payload struct {
			Object struct{ UUID string }
		}
	} `json:"data"`
}

// orderWorkflow ends when an order was created, paid and shipped, whatever comes first. It
// gives the events that told it.
func orderWorkflow(ctx workflow.Context) (map[string]string, error) {
	seen := map[string]string{}
	err := workflow.SetUpdateHandlerWithOptions(ctx, "order.paid", func(_ workflow.Context, t told) error {
		if t.Data.Payload.Object.UUID == "fails" {
			return errors.New("the card is blocked")
		}
		seen["order.paid"] += t.ID
		return nil
	}, workflow.UpdateHandlerOptions{Validator: func(t told) error {
		if strings.HasSuffix(t.Data.Payload.Object.UUID, "refused") {
			return errors.New("nothing to pay")
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	selector := workflow.NewSelector(ctx)
	for _, name := range []string{"order.created", "order.paid", "order.shipped"} {
		selector.AddReceive(workflow.GetSignalChannel(ctx, name), func(c workflow.ReceiveChannel, _ bool) {
			var t told
			c.Receive(ctx, &t)
			seen[name] += t.ID
		})
	}
	for len(seen) < 3 {
		selector.Select(ctx)
	}
	return seen, nil
}

// orders runs the workers of another team.
func orders(t *testing.T, server *enginetest.Server) (queue string) {
	t.Helper()
	queue = t.Name() + "-orders"
	w := sdkworker.New(server.Client, queue, sdkworker.Options{})
	w.RegisterWorkflowWithOptions(orderWorkflow, workflow.RegisterOptions{Name: "Order"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return queue
}

func TestPaymentEventsDriveAnOrderToItsEndInWhateverOrderTheyCome(t *testing.T) {
	t.Parallel()
	server := enginetest.Shared(t)
	queue := orders(t, server)
	s := up(t, yaml(`destinations:
  orders:
    events: ["zoom/order.*"]
    workflow:
      id: "order-{{.body.payload.object.uuid}}"
      type: Order
      task_queue: "`+queue+`"
      signal: "{{.type}}"
      start: true
`), nil)
	for i, types := range [][]string{
		{"created", "paid", "shipped"},
		{"created", "shipped", "paid"},
		{"paid", "created", "shipped"},
		{"paid", "shipped", "created"},
		{"shipped", "created", "paid"},
		{"shipped", "paid", "created"},
	} {
		t.Run(strings.Join(types, " "), func(t *testing.T) {
			object := fmt.Sprintf("%s-%d", strings.ReplaceAll(queue, "/", "-"), i)
			ids := map[string]string{}
			for _, typ := range types {
				a := s.send(t, zoomOf(object, "order."+typ))
				require.NoError(t, s.result(t, a.EventID))
				ids["order."+typ] = a.EventID
				require.True(t, s.repeat(t, zoomOf(object, "order."+typ)).Duplicate)
				if typ == "created" && i == 0 {
					keep(t, s, "workflow_destination", a.EventID, firstRun(t, s, a.EventID))
				}
			}
			var seen map[string]string
			require.NoError(t, server.Client.GetWorkflow(t.Context(), "order-"+object, "").Get(t.Context(), &seen))
			require.Equal(t, ids, seen)
		})
	}
}

// delivering opens a workflow destination.
func delivering(t *testing.T, server *enginetest.Server, w destination.Workflow) func(e event.Event, uuid string, attempt int) error {
	t.Helper()
	if w.Timeout == 0 {
		w.Timeout = 10 * time.Second
	}
	d, err := destination.New(&destination.Spec{Name: "orders", Workflow: &w}, destination.Deps{
		Temporal: server.Client.WorkflowService(), Namespace: server.Namespace,
	})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return func(e event.Event, uuid string, attempt int) error {
		body := fmt.Sprintf(`{"payload":{"object":{"uuid":%q}}}`, uuid)
		return d.Deliver(t.Context(), destination.Delivery{Event: e, Body: []byte(body), Attempt: attempt})
	}
}

func refusedFor(t *testing.T, err error) *destination.Error {
	t.Helper()
	var e *destination.Error
	require.ErrorAs(t, err, &e)
	return e
}

// eventOf is an event of the test's own.
func eventOf(t *testing.T, typ string) event.Event {
	t.Helper()
	return event.Event{ID: strings.ReplaceAll(t.Name(), "/", "-") + "-" + typ, Source: "shop", Type: typ}
}

func TestAnAttemptWhoseAnswerWasLostDoesNothingTwice(t *testing.T) {
	t.Parallel()
	server := enginetest.Shared(t)
	queue := orders(t, server)
	const id = "order-{{.body.payload.object.uuid}}"
	signals := func(t *testing.T, c client.Client, id string) (names []string) {
		t.Helper()
		for _, e := range historyOf(t, c, id, "") {
			if a := e.GetWorkflowExecutionSignaledEventAttributes(); a != nil {
				names = append(names, a.GetSignalName())
			}
		}
		return names
	}
	// A signal that comes during a task of the workflow is in history when the task is over.
	signalled := func(t *testing.T, id string, want ...string) {
		t.Helper()
		require.Eventually(t, func() bool { return slices.Equal(want, signals(t, server.Client, id)) },
			30*time.Second, 50*time.Millisecond)
	}
	t.Run("signal with start", func(t *testing.T) {
		send := delivering(t, server, destination.Workflow{ID: id, Type: "Order", TaskQueue: queue, Signal: "{{.type}}", Start: true})
		uuid := queue + "-sws"
		for _, typ := range []string{"order.created", "order.created", "order.paid", "order.paid"} {
			require.NoError(t, send(eventOf(t, typ), uuid, 1))
		}
		signalled(t, "order-"+uuid, "order.created", "order.paid")
		require.NoError(t, send(eventOf(t, "order.shipped"), uuid, 1))
		require.NoError(t, server.Client.GetWorkflow(t.Context(), "order-"+uuid, "").Get(t.Context(), nil))
		require.NoError(t, send(eventOf(t, "order.shipped"), uuid, 2), "the signal that ended it was taken")
		other := eventOf(t, "order.shipped")
		other.ID += "-other"
		e := refusedFor(t, send(other, uuid, 1))
		require.True(t, e.Permanent)
		require.ErrorContains(t, e, "the workflow has ended: its status is Completed")
	})
	t.Run("start", func(t *testing.T) {
		send := delivering(t, server, destination.Workflow{ID: id, Type: "Order", TaskQueue: queue})
		uuid := queue + "-start"
		require.NoError(t, send(eventOf(t, "order.created"), uuid, 1))
		require.NoError(t, send(eventOf(t, "order.created"), uuid, 2))
		e := refusedFor(t, send(eventOf(t, "order.paid"), uuid, 1))
		require.True(t, e.Permanent)
		require.ErrorContains(t, e, "the workflow is there already: this event did not start it")
		require.NoError(t, server.Client.TerminateWorkflow(t.Context(), "order-"+uuid, "", "test"))
		require.NoError(t, send(eventOf(t, "order.created"), uuid, 3))
		d, err := server.Client.DescribeWorkflowExecution(t.Context(), "order-"+uuid, "")
		require.NoError(t, err)
		require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, d.GetWorkflowExecutionInfo().GetStatus(), "it is not started again")
	})
	t.Run("signal alone", func(t *testing.T) {
		send := delivering(t, server, destination.Workflow{ID: id, Signal: "{{.type}}"})
		uuid := queue + "-signal"
		e := refusedFor(t, send(eventOf(t, "order.paid"), uuid, 1))
		require.False(t, e.Permanent, "it may still be started")
		require.ErrorContains(t, e, "there is no such workflow yet")
		_, err := server.Client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "order-" + uuid, TaskQueue: queue}, "Order")
		require.NoError(t, err)
		require.NoError(t, send(eventOf(t, "order.paid"), uuid, 2))
		require.NoError(t, send(eventOf(t, "order.paid"), uuid, 3))
		signalled(t, "order-"+uuid, "order.paid")
	})
	for _, start := range []bool{true, false} {
		t.Run(fmt.Sprint("update, with start ", start), func(t *testing.T) {
			w := destination.Workflow{ID: id, Update: "{{.type}}", Start: start}
			if start {
				w.Type, w.TaskQueue = "Order", queue
			}
			send := delivering(t, server, w)
			uuid := fmt.Sprint(queue, "-update-", start)
			if !start {
				require.ErrorContains(t, send(eventOf(t, "order.paid"), uuid, 1), "there is no such workflow yet")
				_, err := server.Client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "order-" + uuid, TaskQueue: queue}, "Order")
				require.NoError(t, err)
			}
			for attempt := range 3 {
				require.NoError(t, send(eventOf(t, "order.paid"), uuid, attempt+1))
			}
			updates := slices.DeleteFunc(historyOf(t, server.Client, "order-"+uuid, ""), func(e *historypb.HistoryEvent) bool {
				return e.GetWorkflowExecutionUpdateCompletedEventAttributes() == nil
			})
			require.Len(t, updates, 1)
			e := refusedFor(t, send(eventOf(t, "order.lost"), uuid, 1))
			require.True(t, e.Permanent)
			require.ErrorContains(t, e, "the workflow refuses the update")
		})
	}
	t.Run("an update that the workflow refuses", func(t *testing.T) {
		send := delivering(t, server, destination.Workflow{ID: id, Type: "Order", TaskQueue: queue, Update: "order.paid", Start: true})
		e := refusedFor(t, send(eventOf(t, "order.paid"), queue+"-refused", 1))
		require.True(t, e.Permanent)
		require.ErrorContains(t, e, "nothing to pay")
	})
}

func TestWhatAWorkflowDestinationCannotDoIsAFailureThatSaysWhy(t *testing.T) {
	t.Parallel()
	server := enginetest.Shared(t)
	for name, c := range map[string]struct {
		workflow  destination.Workflow
		uuid, why string
		permanent bool
	}{
		"a name that can't be made": {
			destination.Workflow{ID: "o-{{.body.nothing}}", Type: "Order", TaskQueue: "q"},
			"x",
			`nothing was sent: the id of its workflow can't be made: map has no entry for key "nothing"`, true,
		},
		"a name that is empty": {
			destination.Workflow{ID: "o-{{.body.payload.object.uuid}}", Type: "Order", TaskQueue: "q"}, "", "it is empty", true,
		},
		"arguments that are too large": {
			destination.Workflow{
				ID: "o-{{.id}}", Type: "Order", TaskQueue: "q", Args: slices.Repeat([]string{"{{.body.payload.object.uuid}}"}, 3),
			}, strings.Repeat("x", 1<<20), "Temporal takes 2 MiB", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := refusedFor(t, delivering(t, server, c.workflow)(eventOf(t, "paid"), c.uuid, 1))
			require.Equal(t, c.permanent, e.Permanent)
			require.ErrorContains(t, e, c.why)
		})
	}
	t.Run("a namespace that is not there", func(t *testing.T) {
		elsewhere := *server
		elsewhere.Namespace = "nowhere"
		send := delivering(t, &elsewhere, destination.Workflow{ID: "o-{{.id}}", Type: "Order", TaskQueue: "q"})
		e := refusedFor(t, send(eventOf(t, "paid"), "x", 1))
		require.False(t, e.Permanent)
		require.ErrorContains(t, e, "nowhere")
	})
	t.Run("a queue that nobody polls", func(t *testing.T) {
		w := destination.Workflow{
			ID: "o-{{.id}}", Type: "Order", TaskQueue: t.Name(), Update: "order.paid", Start: true, Timeout: time.Second,
		}
		e := refusedFor(t, delivering(t, server, w)(eventOf(t, "paid"), "x", 1))
		require.False(t, e.Permanent)
		require.True(t, e.Timeout, "%v", e)
	})
}
