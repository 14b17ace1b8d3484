package starter_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/starter"
)

// fakeTemporal is an engine that remembers: an ID is started once, and described
// and reset as it is. What a test wants to go wrong it says by the functions.
type fakeTemporal struct {
	mu        sync.Mutex
	runs      map[string]*fakeRun
	starts    []fakeStart
	described []string
	resets    []*workflowservice.ResetWorkflowExecutionRequest

	// onStart, onDescribe and onReset fail a call when they give an error; nil
	// fails none. n counts the calls from 1.
	onStart    func(ctx context.Context, n int, o client.StartWorkflowOptions) error
	onDescribe func(ctx context.Context, n int) error
	onReset    func(ctx context.Context, n int) error
}

// fakeRun is the latest run of an ID.
type fakeRun struct {
	kind   string
	run    string
	status enums.WorkflowExecutionStatus
	memo   *common.Memo
	length int64
	began  time.Time
}

// fakeStart is one call that asked for a start.
type fakeStart struct {
	options client.StartWorkflowOptions
	event   event.Event
	body    *common.Payload
}

func (f *fakeTemporal) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, kind any, args ...any) (client.WorkflowRun, error) {
	if _, err := converter.GetDefaultDataConverter().ToPayloads(args...); err != nil {
		return nil, err //nolint:wrapcheck // As the SDK gives it.
	}
	f.mu.Lock()
	s := fakeStart{options: o}
	s.event, _ = args[0].(event.Event)
	if raw, ok := args[1].(converter.RawValue); ok {
		s.body = raw.Payload()
	}
	f.starts = append(f.starts, s)
	n, fail := len(f.starts), f.onStart
	f.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, n, o); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	again := o.WorkflowIDReusePolicy == enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	if r, ok := f.runs[o.ID]; ok && (!again || r.status == enums.WORKFLOW_EXECUTION_STATUS_RUNNING) {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("already started", "", "run")
	}
	if f.runs == nil {
		f.runs = map[string]*fakeRun{}
	}
	r := &fakeRun{run: "run-1", status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING, memo: &common.Memo{}, length: 3, began: s.event.Received}
	r.kind, _ = kind.(string)
	r.setMemo(o.Memo)
	f.runs[o.ID] = r
	return nil, nil //nolint:nilnil // The door does not look at the run.
}

func (r *fakeRun) setMemo(values map[string]any) {
	if r.memo.Fields == nil {
		r.memo.Fields = map[string]*common.Payload{}
	}
	for k, v := range values {
		r.memo.Fields[k], _ = converter.GetDefaultDataConverter().ToPayload(v)
	}
}

func (f *fakeTemporal) DescribeWorkflowExecution(ctx context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	f.mu.Lock()
	f.described = append(f.described, id)
	n, fail := len(f.described), f.onDescribe
	f.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, n); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.runs[id]
	if !ok {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Execution: &common.WorkflowExecution{WorkflowId: id, RunId: r.run},
		Type:      &common.WorkflowType{Name: r.kind},
		Status:    r.status, Memo: r.memo, HistoryLength: r.length, StartTime: timestamppb.New(r.began),
	}}, nil
}

func (f *fakeTemporal) ResetWorkflowExecution(ctx context.Context, q *workflowservice.ResetWorkflowExecutionRequest) (*workflowservice.ResetWorkflowExecutionResponse, error) {
	f.mu.Lock()
	f.resets = append(f.resets, q)
	n, fail := len(f.resets), f.onReset
	f.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, n); err != nil {
			return nil, err
		}
	}
	return &workflowservice.ResetWorkflowExecutionResponse{RunId: "run-of-reset"}, nil
}

// change changes the latest run of an ID.
func (f *fakeTemporal) change(t *testing.T, id string, how func(*fakeRun)) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Contains(t, f.runs, id)
	how(f.runs[id])
}

// dies makes the latest run of an ID a dead letter.
func (f *fakeTemporal) dies(t *testing.T, id, run string) {
	t.Helper()
	f.change(t, id, func(r *fakeRun) {
		r.kind, r.status, r.run, r.length = event.DeadLetter, enums.WORKFLOW_EXECUTION_STATUS_FAILED, run, 5
	})
}

// set changes what goes wrong while calls are under way.
func (f *fakeTemporal) set(onStart func(context.Context, int, client.StartWorkflowOptions) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onStart = onStart
}

// calls tells how often each call was made.
func (f *fakeTemporal) calls() (starts, describes, resets int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.starts), len(f.described), len(f.resets)
}

// last is the last start that was asked for.
func (f *fakeTemporal) last(t *testing.T) fakeStart {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.NotEmpty(t, f.starts)
	return f.starts[len(f.starts)-1]
}

// always fails every call with an error.
func always(err error) func(context.Context, int, client.StartWorkflowOptions) error {
	return func(context.Context, int, client.StartWorkflowOptions) error { return err }
}

// hangs waits for the end of the call's time.
func hangs(ctx context.Context, _ int, _ client.StartWorkflowOptions) error {
	<-ctx.Done()
	return ctx.Err() //nolint:wrapcheck // As the SDK gives it.
}

// openFake serves a configuration whose engine is a fake.
func openFake(t *testing.T, yaml string, set ...func(*starter.Options)) (*doorway, *fakeTemporal) {
	t.Helper()
	f := &fakeTemporal{}
	w := openDoor(t, yaml, append([]func(*starter.Options){func(o *starter.Options) { o.Temporal = f }}, set...)...)
	return w, f
}
