package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/grapnel/grapnel/internal/deadletter"
)

// invoice is what an activity of somebody else's program knows of its first argument,
// by its JSON alone.
type invoice struct {
	Event struct {
		ID     string `json:"id"`
		Source string `json:"source"`
		Type   string `json:"type"`
	} `json:"event"`
	Route struct {
		Name string `json:"name"`
	} `json:"route"`
	Before int `json:"before"`
}

// seenTask is what the activity was given.
type seenTask struct {
	invoice
	body    string
	attempt int
}

// billing is a worker that is not ours: the SDK's own, with one activity.
func billing(t *testing.T, s *system, queue string, run func(seenTask) error) {
	t.Helper()
	w := sdkworker.New(s.client, queue, sdkworker.Options{})
	w.RegisterActivityWithOptions(func(ctx context.Context, task invoice, body converter.RawValue) error {
		return run(seenTask{task, string(body.Payload().GetData()), task.Before + int(activity.GetInfo(ctx).Attempt)})
	}, activity.RegisterOptions{Name: "HandleInvoice"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
}

func activityOf(name, pattern, queue, more string) string {
	return "  " + name + ": {events: [" + pattern + "], activity: {name: HandleInvoice, task_queue: " + queue + more + "}, retry: {attempts: 3, schedule: [100ms]}}"
}

func TestAnActivityOfAnotherWorkerHandlesEvents(t *testing.T) {
	t.Parallel()
	queue := t.Name() + "-billing"
	s := up(t, yaml("destinations:", activityOf("billing", "zoom/meeting.*", queue, "")), nil)
	var mu sync.Mutex
	var seen []seenTask
	billing(t, s, queue, func(task seenTask) error {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, task)
		switch {
		case task.Event.Type == "meeting.refused":
			return temporal.NewNonRetryableApplicationError("no such customer", "NoCustomer", nil)
		case task.attempt == 1:
			return errors.New("the ledger is locked")
		}
		return nil
	})
	body := strings.Replace(zoom(t, "meeting.paid"), `{"event"`, `{ "big":12345678901234567890,  "event"`, 1)
	id := s.send(t, body).EventID
	require.NoError(t, s.result(t, id))
	mu.Lock()
	last := seen[len(seen)-1]
	mu.Unlock()
	require.GreaterOrEqual(t, last.attempt, 2, "its failure was tried again")
	require.Equal(t, id, last.Event.ID)
	require.Equal(t, "zoom", last.Event.Source)
	require.Equal(t, "meeting.paid", last.Event.Type)
	require.Equal(t, "billing", last.Route.Name)
	require.Equal(t, body, last.body, "to the byte")
	for _, e := range s.history(t, id, "") {
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
			require.Equal(t, queue, a.GetTaskQueue().GetName())
			require.Equal(t, "HandleInvoice", a.GetActivityType().GetName())
			require.Equal(t, "json/plain", string(a.GetInput().GetPayloads()[1].GetMetadata()["encoding"]), "what any SDK decodes")
		}
	}
	refused := s.send(t, zoom(t, "meeting.refused")).EventID
	require.Contains(t, s.dead(t, refused), "billing: no such customer")
	l, err := deadletter.New(s.client, s.Namespace, s.queue).Get(t.Context(), refused)
	require.NoError(t, err)
	require.Equal(t, "NoCustomer", l.Letter.Failures[0].Type)
}

func TestAnActivityThatNobodyRunsMakesADeadLetterThatSaysSo(t *testing.T) {
	t.Parallel()
	queue := t.Name() + "-nobody"
	src := yaml("destinations:", activityOf("billing", "zoom/meeting.*", queue, ", start_within: 1s"))
	s := up(t, src, nil)
	id := s.send(t, zoom(t, "meeting.paid")).EventID
	require.Contains(t, s.dead(t, id), "billing: no worker took it in time: does one run on its task queue?")
	l, err := deadletter.New(s.client, s.Namespace, s.queue).Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "Timeout", l.Letter.Failures[0].Type)
	done := make(chan struct{}, 9)
	billing(t, s, queue, func(seenTask) error { done <- struct{}{}; return nil })
	require.NoError(t, s.reset(t, id, l.Run, t.Name()))
	s.handled(t, id)
	require.NotEmpty(t, done, "it is handled once somebody does")
	require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, s.latest(t, id).GetStatus())
}

// TestATaskQueueThatNobodyPollsIsSeen looks at the metric and at check.
func TestATaskQueueThatNobodyPollsIsSeen(t *testing.T) {
	t.Parallel()
	h := newHome(t, yaml("destinations:", activityOf("billing", "zoom/*", "billing-jobs", "")+
		"\n  orders: {events: [zoom/*], workflow: {type: Order, id: \"order-{{.body.payload.object.uuid}}\", task_queue: order-jobs}}"))
	p := h.start(t, "up")
	p.shows(t, "/metrics", `grapnel_destination_queue_workers{destination="billing"} 0`)
	p.shows(t, "/metrics", `grapnel_destination_queue_workers{destination="orders"} 0`)
	h.env = append(h.env, "TEMPORAL_ADDRESS="+p.temporal, "TEMPORAL_NAMESPACE="+p.namespace)
	out, code := h.run(t, "check")
	require.Zero(t, code, out)
	require.Contains(t, out, "warning: destination billing: no worker polls task queue billing-jobs for activities; its events wait 24h0m0s for one")
	require.Contains(t, out, "warning: destination orders: no worker polls task queue order-jobs for workflows; those that its events start wait for one")
	billing(t, p.system(t), "billing-jobs", func(seenTask) error { return nil })
	until(t, "somebody polls", func() bool {
		out, _ := h.run(t, "check")
		return !strings.Contains(out, "billing-jobs")
	})
	require.Equal(t, http.StatusOK, status(t, p.admin+"/readyz"))
	p.interrupt(t)
}
