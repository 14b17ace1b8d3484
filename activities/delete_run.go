package activities

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"

	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/event"
)

// DeleteRun removes the run from which a reset of a dead letter came, so that the list of dead
// letters no longer shows it, and tells what became of the letter since that run ended. If it
// can't find that out, or can't remove the run, it logs and counts that and blocks nothing: the
// event is then replayed, as was asked.
func (a *Activities) DeleteRun(ctx context.Context, runID string) (event.Since, error) {
	info := activity.GetInfo(ctx)
	id, self := info.WorkflowExecution.ID, info.WorkflowExecution.RunID
	if runID == "" || runID == self {
		return event.Since{}, fmt.Errorf("run %q of %s is not an earlier one", runID, id)
	}
	letters := a.letters(info.Namespace)
	since, err := letters.Since(ctx, id, self, runID)
	if err != nil {
		activity.GetLogger(ctx).Warn("could not find out whether the dead letter was replayed since", "error", err)
		activity.GetMetricsHandler(ctx).Counter("grapnel_replay_unknown").Inc(1)
		since = event.Since{}
	}
	a.remove(ctx, letters, runID)
	return since, nil
}

// Index tells which search attributes of a dead letter the namespace has. If a run is named in
// instead, which this run replaces, it removes that run.
func (a *Activities) Index(ctx context.Context, instead string) ([]string, error) {
	info := activity.GetInfo(ctx)
	if instead != "" && instead != info.WorkflowExecution.RunID {
		a.remove(ctx, a.letters(info.Namespace), instead)
	}
	return a.attributes.get(ctx, a.find)
}

func (a *Activities) remove(ctx context.Context, letters *deadletter.Store, run string) {
	if err := letters.DeleteRun(ctx, activity.GetInfo(ctx).WorkflowExecution.ID, run); err != nil {
		activity.GetLogger(ctx).Warn("the run from which an event was replayed could not be removed", "error", err)
		activity.GetMetricsHandler(ctx).Counter("grapnel_replay_leftovers").Inc(1)
	}
}

func (a *Activities) letters(namespace string) *deadletter.Store {
	return deadletter.New(a.client, namespace, a.TaskQueue)
}

// find asks the namespace for the search attributes of a dead letter. An API key that may not
// list them may still query by them.
func (a *Activities) find(ctx context.Context) (names []string, err error) {
	namespace := activity.GetInfo(ctx).Namespace
	want := []string{event.AttributeReason, event.AttributeRoute}
	listed, err := a.client.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err == nil {
		return slices.DeleteFunc(want, func(name string) bool {
			return listed.GetCustomAttributes()[name] != enumspb.INDEXED_VALUE_TYPE_KEYWORD
		}), nil
	}
	for _, name := range want {
		if _, err := a.client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: namespace, Query: name + ` = "-"`,
		}); err == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

// rememberedNames remembers the answer for some time: a namespace gets its search attributes only
// once.
type rememberedNames struct {
	mu    sync.Mutex
	names []string
	until time.Time
}

// How long an answer is remembered: that attributes are there, and that some are missing.
const (
	knownFor   = 10 * time.Minute
	unknownFor = time.Minute
)

func (k *rememberedNames) get(ctx context.Context, ask func(context.Context) ([]string, error)) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Now().Before(k.until) {
		return k.names, nil
	}
	names, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	k.names, k.until = names, time.Now().Add(unknownFor)
	if len(names) == 2 {
		k.until = time.Now().Add(knownFor)
	}
	return names, nil
}
