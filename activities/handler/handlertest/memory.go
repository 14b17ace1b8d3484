package handlertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/payload"
	"github.com/grapnel/grapnel/workflows"
)

// memory is an engine that runs the real workflows in the SDK's test environment. A workflow that
// is started or reset runs only when settle is called, so that the receiver has its answer first,
// as with a server.
type memory struct {
	suite      testsuite.WorkflowTestSuite
	activities *activities.Activities
	log        *attempts

	mu    sync.Mutex
	clock time.Time
	// env is the environment of the run under way. While there is one, its clock counts.
	env  *testsuite.TestWorkflowEnvironment
	runs map[string]*run
}

// run is the latest run of a workflow ID.
type run struct {
	id   string
	kind string
	// input is what the run was started with.
	input *common.Payloads
	memo  *common.Memo
	// number tells the runs of one workflow ID apart.
	number int
	// pending is set until the run has been executed, reset if a reset made the run.
	pending, reset bool
	err            error
}

func newMemory(fake *Temporal, log *attempts, start time.Time, prepare func(*activities.Activities)) *memory {
	m := &memory{clock: start, runs: map[string]*run{}, log: log, activities: activities.New(nil, taskQueue)}
	m.suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	m.activities.Temporal = fake
	prepare(m.activities)
	log.now, log.skip = m.now, event.ActivityDeleteRun
	return m
}

func (m *memory) now() time.Time {
	m.mu.Lock()
	env, clock := m.env, m.clock
	m.mu.Unlock()
	if env != nil {
		return env.Now().UTC()
	}
	return clock
}

func (m *memory) advance(d time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock = m.clock.Add(d)
	return true
}

// ExecuteWorkflow implements starter.Temporal.
func (m *memory) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, kind any, args ...any) (client.WorkflowRun, error) {
	dc := converter.GetDefaultDataConverter()
	input, err := dc.ToPayloads(args...)
	if err != nil {
		return nil, fmt.Errorf("write the arguments: %w", err)
	}
	r := &run{id: o.ID, kind: fmt.Sprint(kind), input: input, memo: &common.Memo{Fields: map[string]*common.Payload{}}, pending: true}
	for key, value := range o.Memo {
		if r.memo.Fields[key], err = dc.ToPayload(value); err != nil {
			return nil, fmt.Errorf("write the memo: %w", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs[o.ID] != nil {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("already started", "", "")
	}
	m.runs[o.ID] = r
	return nil, nil //nolint:nilnil // The receiver does not look at the run.
}

// DescribeWorkflowExecution implements starter.Temporal.
func (m *memory) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.runs[id]
	if r == nil {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	status := enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
	switch {
	case r.pending:
		status = enums.WORKFLOW_EXECUTION_STATUS_RUNNING
	case r.err != nil:
		status = enums.WORKFLOW_EXECUTION_STATUS_FAILED
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Execution: &common.WorkflowExecution{WorkflowId: id, RunId: r.runID()},
		Type:      &common.WorkflowType{Name: r.kind}, Status: status, Memo: r.memo, HistoryLength: lengthOfDead,
	}}, nil
}

// lengthOfDead is the number of history events of a dead letter.
const lengthOfDead = 5

func (r *run) runID() string { return fmt.Sprintf("%s-run-%d", r.id, r.number) }

// ResetWorkflowExecution implements starter.Temporal.
func (m *memory) ResetWorkflowExecution(_ context.Context, q *workflowservice.ResetWorkflowExecutionRequest) (*workflowservice.ResetWorkflowExecutionResponse, error) {
	if err := m.replay(q.GetWorkflowExecution().GetWorkflowId()); err != nil {
		return nil, err
	}
	return &workflowservice.ResetWorkflowExecutionResponse{}, nil
}

func (m *memory) replay(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.runs[id]
	if r == nil || r.pending {
		return serviceerror.NewNotFound("no such dead letter")
	}
	r.pending, r.reset, r.err = true, true, nil
	return nil
}

func (m *memory) begin(e event.Event, body []byte) error {
	_, err := m.ExecuteWorkflow(context.Background(), client.StartWorkflowOptions{ID: e.ID}, event.ProcessEvent, e, payload.Body(body), event.Past{})
	return err
}

// settle executes the run that was started, and those that it continues as.
func (m *memory) settle(id string) (workflowEnd, error) {
	m.mu.Lock()
	r := m.runs[id]
	m.mu.Unlock()
	for r.pending {
		if err := m.execute(r); err != nil {
			return workflowEnd{}, err
		}
	}
	if r.err == nil {
		return workflowEnd{}, nil
	}
	var e event.Event
	var body converter.RawValue
	var letter event.Letter
	if err := converter.GetDefaultDataConverter().FromPayloads(r.input, &e, &body, &letter); err != nil || r.kind != event.DeadLetter {
		return workflowEnd{}, errors.Join(fmt.Errorf("%s failed: %w", r.kind, r.err), err)
	}
	var app *temporal.ApplicationError
	if !errors.As(r.err, &app) {
		return workflowEnd{}, fmt.Errorf("the dead letter failed of itself: %w", r.err)
	}
	return endOfDead(letter, app.Message()), nil
}

// execute executes one run.
func (m *memory) execute(r *run) error {
	env := m.suite.NewTestWorkflowEnvironment()
	env.SetStartTime(m.now())
	// Handlers take real time: as long as their time-out allows.
	env.SetTestTimeout(patience)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: r.id, TaskQueue: taskQueue})
	interceptors := []interceptor.WorkerInterceptor{m.log}
	if r.reset {
		interceptors = append(interceptors, &resetOf{run: r.runID()})
	}
	env.SetWorkerOptions(worker.Options{Interceptors: interceptors})
	workflows.Register(env)
	m.activities.Register(env)
	m.enter(env)
	env.ExecuteWorkflow(r.kind, arguments(r)...)
	m.leave(env)
	if !env.IsWorkflowCompleted() {
		return fmt.Errorf("%s has not ended within %v", r.kind, patience)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	if r.reset {
		// The workflow notes when it was replayed; the receiver reads it.
		r.memo.Fields[event.MemoReplayed], err = converter.GetDefaultDataConverter().ToPayload(m.clock)
	}
	r.number, r.pending, r.reset, r.err = r.number+1, false, false, env.GetWorkflowError()
	if next, ok := errors.AsType[*workflow.ContinueAsNewError](r.err); ok {
		r.kind, r.input, r.err, r.pending = next.WorkflowType.Name, next.Input, nil, true
	}
	return err
}

func (m *memory) enter(env *testsuite.TestWorkflowEnvironment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.env = env
}

func (m *memory) leave(env *testsuite.TestWorkflowEnvironment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.env, m.clock = nil, env.Now().UTC()
}

// arguments gives the input of a run as values, as the test environment takes it.
func arguments(r *run) []any {
	var args []any
	for _, p := range r.input.GetPayloads() {
		args = append(args, converter.NewRawValue(p))
	}
	return args
}

// resetOf makes a run look as if it were a reset of another one.
type resetOf struct {
	interceptor.WorkerInterceptorBase
	run string
}

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (o *resetOf) InterceptWorkflow(
	_ workflow.Context, next interceptor.WorkflowInboundInterceptor,
) interceptor.WorkflowInboundInterceptor {
	in := &resetInbound{run: o.run}
	in.Next = next
	return in
}

type resetInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	run string
}

// Init implements interceptor.WorkflowInboundInterceptor.
func (i *resetInbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	out := &resetOutbound{run: i.run}
	out.Next = next
	return i.Next.Init(out) //nolint:wrapcheck // The interceptor changes nothing.
}

type resetOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	run string
}

// GetInfo implements interceptor.WorkflowOutboundInterceptor.
func (o *resetOutbound) GetInfo(ctx workflow.Context) *workflow.Info {
	info := *o.Next.GetInfo(ctx)
	info.OriginalRunID = o.run
	return &info
}
