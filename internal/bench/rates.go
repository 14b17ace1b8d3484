package bench

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	batchpb "go.temporal.io/api/batch/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/grapnel/grapnel/internal/payload"
)

// connections is how many senders there are: enough to keep a small Temporal busy.
const connections = 16

// rates measures how many bare starts Temporal takes, and how many events each design handles.
func (b *bench) rates(ctx context.Context) error {
	measures := []struct {
		into *Series
		name string
		run  func(context.Context) (float64, error)
	}{
		{&b.report.Bare, "bare StartWorkflowExecution", b.bare},
		{&b.report.Textbook, "textbook design", b.textbook},
		{&b.report.Up, "grapnel up", func(ctx context.Context) (float64, error) { return b.handled(ctx, false) }},
		{&b.report.HTTP, "grapnel up, HTTP destination", b.delivered},
		{&b.report.Split, "starter and worker apart", func(ctx context.Context) (float64, error) { return b.handled(ctx, true) }},
	}
	for round := range b.Rounds {
		for _, m := range measures {
			b.settle(ctx)
			rate, err := m.run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			m.into.add(rate)
			b.say("  round %d: %-28s %7.0f/s", round+1, m.name, rate)
		}
	}
	return nil
}

// Bounds of settle: the engine is idle if it uses less than one part in restShare of a processor
// over restLook.
const (
	restLook  = 500 * time.Millisecond
	restShare = 10
	restMost  = 20 * time.Second
)

// settle waits until the embedded engine has done the work that the measurement before has left to
// it, so that the next one does not pay for that. It gives up after a while.
func (b *bench) settle(ctx context.Context) {
	if b.EnginePID == 0 {
		return
	}
	engines := func() time.Duration { return cpuTimeOf(b.EnginePID) + cpuTimeOf(b.StockPID) }
	for end := time.Now().Add(restMost); time.Now().Before(end) && ctx.Err() == nil; {
		used := engines()
		select {
		case <-ctx.Done():
		case <-time.After(restLook):
		}
		if engines()-used < restLook/restShare {
			return
		}
	}
}

// bare starts workflows that nobody runs.
func (b *bench) bare(ctx context.Context) (float64, error) {
	events := newBatch(b.Events, b.Secret)
	used := b.use(b.StockPID)
	s, err := startAll(ctx, b.stock, events, client.StartWorkflowOptions{TaskQueue: b.queue("bare")}, bareWorkflow)
	b.report.BareCPU.add(used, b.use(b.StockPID), b.Events)
	return s.perSecond(), err
}

// textbook handles events by a workflow with one activity. It has no receiver, because only the
// design of the handling is compared.
func (b *bench) textbook(ctx context.Context) (float64, error) {
	events, calls := newBatch(max(b.Events/2, 1), b.Secret), &Calls{}
	c, err := b.Plant.Stock(calls.Option())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	queue := b.queue("textbook")
	stop, err := textbookWorker(c, queue, events)
	if err != nil {
		return 0, err
	}
	defer stop()
	began, used := time.Now(), b.use(b.StockPID)
	if _, err = startAll(ctx, c, events, client.StartWorkflowOptions{TaskQueue: queue}, textbookWorkflow); err != nil {
		return 0, err
	}
	if err := events.await(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began)
	b.report.TextbookCPU.add(used, b.use(b.StockPID), len(events.requests))
	b.report.TextbookHistory, err = historyLength(ctx, b.stock, queue+"-0")
	b.report.TextbookCalls = perEvent(calls, events)
	return float64(len(events.requests)) / took.Seconds(), err
}

// handled handles events by grapnel, from the socket on.
func (b *bench) handled(ctx context.Context, split bool) (float64, error) {
	events, calls := newBatch(b.Events, b.Secret), &Calls{}
	run, err := b.Plant.Start(ctx, Setup{Queue: b.queue("grapnel"), Split: split, Spool: true, Handle: events.handle, Calls: calls})
	if err != nil {
		return 0, err
	}
	defer run.Stop()
	began, used := time.Now(), b.use(b.EnginePID)
	s, err := send(ctx, run.Addr, events, connections, 0)
	if err != nil {
		return 0, err
	}
	if err := events.await(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if split {
		b.report.SplitCPU.add(used, b.use(b.EnginePID), b.Events)
		b.report.SplitCalls = perEvent(calls, events)
	} else {
		b.report.UpCPU.add(used, b.use(b.EnginePID), b.Events)
		b.report.UpCalls = perEvent(calls, events)
		b.report.History, err = historyLength(ctx, b.client, s.ids[0])
	}
	b.report.Repeats += int(events.repeats.Load())
	return float64(len(events.requests)) / took.Seconds(), err
}

// delivered hands events to an HTTP server, from the socket on.
func (b *bench) delivered(ctx context.Context) (float64, error) {
	events := newBatch(b.Events, b.Secret)
	url, stop, err := listen(ctx, events)
	if err != nil {
		return 0, err
	}
	defer stop()
	run, err := b.Plant.Start(ctx, Setup{Queue: b.queue("http"), Spool: true, Deliver: url})
	if err != nil {
		return 0, err
	}
	defer run.Stop()
	began, used := time.Now(), b.use(b.EnginePID)
	if _, err := send(ctx, run.Addr, events, connections, 0); err != nil {
		return 0, err
	}
	if err := events.await(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began)
	b.report.HTTPCPU.add(used, b.use(b.EnginePID), b.Events)
	b.report.Repeats += int(events.repeats.Load())
	return float64(len(events.requests)) / took.Seconds(), nil
}

// listen serves a destination that takes what it is given.
func listen(ctx context.Context, events *batch) (url string, stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen: %w", err)
	}
	server := &fasthttp.Server{Handler: func(c *fasthttp.RequestCtx) {
		if err := events.handle(c.PostBody()); err != nil {
			c.Error(err.Error(), fasthttp.StatusBadRequest)
		}
	}}
	go func() { _ = server.Serve(l) }()
	return "http://" + l.Addr().String() + "/", func() { _ = server.Shutdown() }, nil
}

// perEvent is the number of calls that each event took. The answer to the last
// task may still be on its way.
func perEvent(c *Calls, b *batch) float64 { return float64(c.Count()) / float64(len(b.requests)) }

// historyLength waits until a workflow is closed and gives its history's length.
func historyLength(ctx context.Context, c client.Client, id string) (int64, error) {
	if err := c.GetWorkflow(ctx, id, "").Get(ctx, nil); err != nil {
		return 0, fmt.Errorf("wait for the end of %s: %w", id, err)
	}
	d, err := c.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return 0, fmt.Errorf("look at %s: %w", id, err)
	}
	return d.GetWorkflowExecutionInfo().GetHistoryLength(), nil
}

// describeEngine asks Temporal for its version and its database.
func (b *bench) describeEngine(ctx context.Context) error {
	info, err := b.client.WorkflowService().GetClusterInfo(ctx, &workflowservice.GetClusterInfoRequest{})
	if err != nil {
		return fmt.Errorf("ask the engine what it is: %w", err)
	}
	kind := "a cluster"
	if b.EnginePID != 0 {
		kind = "embedded dev server"
	}
	b.report.Engine = fmt.Sprintf("Temporal %s, %s, %d history shards, %s",
		info.GetServerVersion(), info.GetPersistenceStore(), info.GetHistoryShardCount(), kind)
	return nil
}

// clean ends the workflows that bare starts left open in a configured Temporal, which outlives the
// bench. It finds them by their type. An error is only told.
func (b *bench) clean(ctx context.Context) {
	if b.EnginePID != 0 {
		return
	}
	_, err := b.client.WorkflowService().StartBatchOperation(ctx, &workflowservice.StartBatchOperationRequest{
		Namespace: b.Namespace, JobId: b.queue("clean"), Reason: "the bench is over",
		VisibilityQuery: fmt.Sprintf(`WorkflowType=%q AND ExecutionStatus="Running"`, bareWorkflow),
		Operation: &workflowservice.StartBatchOperationRequest_TerminationOperation{
			TerminationOperation: &batchpb.BatchOperationTermination{},
		},
	})
	if err != nil {
		b.say("  could not end the workflows of type %s: %v", bareWorkflow, err)
	}
}

// The names of what the bench itself runs.
const (
	textbookWorkflow = "BenchTextbook"
	textbookActivity = "BenchActivity"
	bareWorkflow     = "BenchBare"
)

// textbook is the design of every tutorial: a workflow that calls one activity.
func textbook(ctx workflow.Context, body converter.RawValue) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 5 * time.Second})
	return workflow.ExecuteActivity(ctx, textbookActivity, body).Get(ctx, nil)
}

// textbookWorker runs it on a queue until stop is called.
func textbookWorker(c client.Client, queue string, b *batch) (stop func(), err error) {
	w := worker.New(c, queue, worker.Options{})
	w.RegisterWorkflowWithOptions(textbook, workflow.RegisterOptions{Name: textbookWorkflow})
	handle := func(_ context.Context, body converter.RawValue) error { return b.handle(body.Payload().GetData()) }
	w.RegisterActivityWithOptions(handle, activity.RegisterOptions{Name: textbookActivity})
	if err := w.Start(); err != nil {
		return nil, fmt.Errorf("start the worker of the textbook design: %w", err)
	}
	return w.Stop, nil
}

// startAll starts one workflow for each event of the batch, so many at once.
func startAll(ctx context.Context, c client.Client, b *batch, o client.StartWorkflowOptions, typ string) (*sendResult, error) {
	var next atomic.Int64
	var result sendResult
	began := time.Now()
	faults := make(chan error, connections)
	for range connections {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(b.requests) {
					faults <- nil
					return
				}
				mine := o
				mine.ID = fmt.Sprintf("%s-%d", o.TaskQueue, i)
				if err := startUntilTaken(ctx, c, mine, typ, b.requests[i].body); err != nil {
					faults <- err
					return
				}
			}
		}()
	}
	var fault error
	for range connections {
		if err := <-faults; err != nil {
			fault = err
		}
	}
	result.accepted, result.took = len(b.requests), time.Since(began)
	return &result, fault
}

// startPatience is how long a start that Temporal refuses is tried again.
const startPatience = 30 * time.Second

// startUntilTaken starts a workflow as a sender would, again and again: an overloaded Temporal
// refuses starts now and then, and the time that this costs counts.
func startUntilTaken(ctx context.Context, c client.Client, o client.StartWorkflowOptions, typ string, body []byte) error {
	for end := time.Now().Add(startPatience); ; {
		_, err := c.ExecuteWorkflow(ctx, o, typ, payload.Body(body))
		if err == nil {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("start a workflow: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}
