package handlertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/activities"
	devserver "github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/payload"
	"github.com/grapnel/grapnel/worker"
)

// server is an engine that is Temporal's dev server.
type server struct {
	client.Client
	namespace string
}

// newServer starts a dev server with a worker, which end with the test.
func newServer(t testing.TB, log *attempts, prepare func(*activities.Activities)) *server {
	t.Helper()
	s, err := startServer(t)
	if errors.Is(err, devserver.ErrNoBinary) {
		t.Fatalf("handlertest: OnServer needs the command temporal: %v", err)
	}
	if err != nil {
		t.Fatalf("handlertest: start a Temporal server: %v", err)
	}
	log.now = s.now
	a := activities.New(s.Client, taskQueue)
	prepare(a)
	w := worker.New(s.Client, worker.Options{TaskQueue: taskQueue, Activities: a, Interceptors: []interceptor.WorkerInterceptor{log}})
	if err := w.Start(); err != nil {
		t.Fatalf("handlertest: start the worker: %v", err)
	}
	t.Cleanup(w.Stop)
	return s
}

func startServer(t testing.TB) (*server, error) {
	t.Helper()
	binary, err := temporalCommand()
	if err != nil {
		return nil, err
	}
	running, err := devserver.Start(context.Background(), devserver.EmbeddedOptions{
		DataDir: t.TempDir(), Binary: binary, InMemory: true, AnyPorts: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start the dev server: %w", err)
	}
	t.Cleanup(func() { _ = running.Kill() })
	c, err := devserver.Dial(running.Settings(), devserver.DialOptions{})
	if err != nil {
		return nil, fmt.Errorf("connect to the dev server: %w", err)
	}
	t.Cleanup(c.Close)
	return &server{Client: c, namespace: running.Namespace}, nil
}

// temporalCommand finds the command temporal: in bin/ of this directory or one above, else
// where grapnel itself looks.
func temporalCommand() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		path := filepath.Join(dir, "bin", "temporal")
		if info, missing := os.Stat(path); missing == nil && !info.IsDir() {
			return path, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	return devserver.FindBinary("", os.Environ()) //nolint:wrapcheck // It says what to do.
}

func (s *server) now() time.Time { return time.Now().UTC() }

func (s *server) advance(time.Duration) bool { return false }

func (s *server) begin(e event.Event, body []byte) error {
	_, err := s.ExecuteWorkflow(context.Background(), client.StartWorkflowOptions{
		ID: e.ID, TaskQueue: taskQueue, WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
	}, event.ProcessEvent, e, payload.Body(body))
	if err != nil {
		return fmt.Errorf("start the workflow: %w", err)
	}
	return nil
}

func (s *server) settle(id string) (workflowEnd, error) {
	ctx := context.Background()
	err := s.GetWorkflow(ctx, id, "").Get(ctx, nil)
	if err == nil {
		return workflowEnd{}, nil
	}
	var failed *temporal.WorkflowExecutionError
	var app *temporal.ApplicationError
	if !errors.As(err, &failed) || !errors.As(err, &app) {
		return workflowEnd{}, fmt.Errorf("wait for the end of the workflow: %w", err)
	}
	first, historyErr := s.GetWorkflowHistory(ctx, id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
	if historyErr != nil {
		return workflowEnd{}, fmt.Errorf("read the dead letter: %w", historyErr)
	}
	started := first.GetWorkflowExecutionStartedEventAttributes()
	var e event.Event
	var body converter.RawValue
	var letter event.Letter
	if started.GetWorkflowType().GetName() != event.DeadLetter {
		return workflowEnd{}, fmt.Errorf("%s failed: %w", started.GetWorkflowType().GetName(), err)
	}
	if err := converter.GetDefaultDataConverter().FromPayloads(started.GetInput(), &e, &body, &letter); err != nil {
		return workflowEnd{}, fmt.Errorf("read the dead letter: %w", err)
	}
	return endOfDead(letter, app.Message()), nil
}

// replay resets the dead letter to its first workflow task. The outline in the memo names the
// event that ends that task.
func (s *server) replay(id string) error {
	ctx := context.Background()
	d, err := s.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return fmt.Errorf("describe the dead letter: %w", err)
	}
	info := d.GetWorkflowExecutionInfo()
	_, err = s.ResetWorkflowExecution(ctx, &workflowservice.ResetWorkflowExecutionRequest{
		Namespace:                 s.namespace,
		WorkflowExecution:         &common.WorkflowExecution{WorkflowId: id, RunId: info.GetExecution().GetRunId()},
		Reason:                    "handlertest",
		WorkflowTaskFinishEventId: payload.Memo[event.Outline](info.GetMemo(), event.MemoOutline).Task,
		RequestId:                 "handlertest-" + info.GetExecution().GetRunId(),
	})
	if err != nil {
		return fmt.Errorf("reset the dead letter: %w", err)
	}
	return nil
}

// namespaceOf gives the namespace of an engine.
func namespaceOf(e any) string {
	if s, ok := e.(*server); ok {
		return s.namespace
	}
	return "default"
}
