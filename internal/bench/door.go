package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/event"
)

// latency sends events gently and looks how long each takes to its handler.
func (b *bench) latency(ctx context.Context) error {
	const (
		every  = 20 * time.Millisecond
		warmUp = 50 // connections, pollers and caches come with the first second
	)
	events, calls := newBatch(warmUp+min(max(b.Events/2, 100), 500), b.Secret), &Calls{}
	run, err := b.Plant.Start(ctx, Setup{Queue: b.queue("latency"), Spool: true, Handle: events.handle, Calls: calls})
	if err != nil {
		return err
	}
	defer run.Stop()
	if _, err := send(ctx, run.Addr, events, connections, every); err != nil {
		return err
	}
	if err := events.await(ctx); err != nil {
		return err
	}
	b.report.Latency, b.report.LatencyCalls = newTimes(events.latencies()[warmUp:]), perEvent(calls, events)
	b.report.Stages, err = b.stages(ctx, events, warmUp)
	return err
}

// stages tells by the histories of some events where their time went: until Temporal
// had started the workflow, from there to the handler (the start's answer brings the
// first task), and from there to the end.
func (b *bench) stages(ctx context.Context, events *batch, from int) ([]Stage, error) {
	const looked = 100
	var start, task, end []time.Duration
	for i := from; i < min(from+looked, len(events.requests)); i++ {
		id, sent, handled := events.ids[i], events.began.Add(time.Duration(events.sent[i].Load())), events.began.Add(time.Duration(events.handled[i].Load()))
		if id == "" {
			continue
		}
		if err := b.client.GetWorkflow(ctx, id, "").Get(ctx, nil); err != nil {
			return nil, fmt.Errorf("wait for the end of %s: %w", id, err)
		}
		d, err := b.client.DescribeWorkflowExecution(ctx, id, "")
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", id, err)
		}
		info := d.GetWorkflowExecutionInfo()
		began, closed := info.GetStartTime().AsTime(), info.GetCloseTime().AsTime()
		start, task, end = append(start, began.Sub(sent)), append(task, handled.Sub(began)), append(end, closed.Sub(handled))
	}
	return []Stage{
		{"socket to Temporal's start: read, verify, call", newTimes(start)},
		{"start to handler: commit, answer, first task", newTimes(task)},
		{"handler to end", newTimes(end)},
	}, nil
}

const (
	// burstConnections is how many senders burst at once.
	burstConnections = 64
	// burstFactor is how much larger a burst is than a round of the rates.
	burstFactor = 10
)

// bursts measures how fast the receiver accepts many events at once.
func (b *bench) bursts(ctx context.Context) error {
	for round := range b.Rounds {
		if err := b.burst(ctx, true, b.Events*burstFactor, &b.report.Burst); err != nil {
			return err
		}
		if err := b.burst(ctx, false, b.Events, &b.report.BurstNoSpool); err != nil {
			return err
		}
		last := func(s Series) float64 { return s.Values[len(s.Values)-1] }
		b.say("  round %d: with the spool %.0f/s, without %.0f/s", round+1,
			last(b.report.Burst.Accepted), last(b.report.BurstNoSpool.Accepted))
	}
	for _, r := range []*Burst{&b.report.Burst, &b.report.BurstNoSpool} {
		r.Answers = newTimes(r.answers)
	}
	return nil
}

func (b *bench) burst(ctx context.Context, spool bool, n int, into *Burst) error {
	events := newBatch(n, b.Secret)
	run, err := b.Plant.Start(ctx, Setup{Queue: b.queue("burst"), Spool: spool, Handle: events.handle})
	if err != nil {
		return err
	}
	defer run.Stop() // What the spool still holds goes with its directory.
	s, err := send(ctx, run.Addr, events, burstConnections, 0)
	if err != nil {
		return err
	}
	into.Accepted.add(s.perSecond())
	into.Refused += s.refused
	into.Handled += n - int(events.left.Load())
	into.answers = append(into.answers, s.answers...)
	return nil
}

// errNotYet is what the handler says of events that are to become dead letters.
var errNotYet = errors.New("not yet")

// replays makes dead letters and replays them, by resets and by operations.
func (b *bench) replays(ctx context.Context) error {
	for range min(b.Rounds, 3) {
		rate, err := b.replay(ctx, max(b.Events/4, 20), b.byResets, &b.report.ReplayCPU, &b.report.ReplayCalls)
		if err != nil {
			return err
		}
		b.report.Replays.add(rate)
		if rate, err = b.replay(ctx, max(b.Events, 2*rampItems), b.byOperation, &b.report.OperationCPU, &b.report.OperationCalls); err != nil {
			return err
		}
		b.report.Operations.add(rate)
	}
	return nil
}

// replay makes n dead letters, has them replayed, and gives how many a second were.
func (b *bench) replay(
	ctx context.Context, n int,
	by func(ctx context.Context, queue string, ids []string, events *batch) (float64, error), cost *CPU, callsEach *float64,
) (float64, error) {
	events, fails := newBatch(n, b.Secret), newBatch(n, b.Secret)
	handle := func(body []byte) error {
		select {
		case <-fails.done:
			return events.handle(body)
		default:
			_ = fails.handle(body) // It counts what has failed.
			return errNotYet
		}
	}
	queue, calls := b.queue("replay"), &Calls{}
	run, err := b.Plant.Start(ctx, Setup{Queue: queue, Spool: true, Handle: handle, Calls: calls})
	if err != nil {
		return 0, err
	}
	defer run.Stop()
	s, err := send(ctx, run.Addr, events, connections, 0)
	if err != nil {
		return 0, err
	}
	if err := fails.await(ctx); err != nil {
		return 0, err
	}
	for _, id := range s.ids {
		if err := b.client.GetWorkflow(ctx, id, "").Get(ctx, nil); err == nil {
			return 0, fmt.Errorf("event %s is no dead letter", id)
		}
	}
	b.settle(ctx) // What it cost to make them dead is no part of it.
	used, called := b.use(b.EnginePID), calls.Count()
	rate, err := by(ctx, queue, s.ids, events)
	cost.add(used, b.use(b.EnginePID), n)
	*callsEach = float64(calls.Count()-called) / float64(n)
	return rate, err
}

// byResets replays as Temporal's own tools do.
func (b *bench) byResets(ctx context.Context, _ string, ids []string, events *batch) (float64, error) {
	began := time.Now()
	if err := b.resets(ctx, ids); err != nil {
		return 0, err
	}
	if err := events.await(ctx); err != nil {
		return 0, err
	}
	return float64(len(ids)) / time.Since(began).Seconds(), nil
}

// rampItems is how many letters an operation has begun when its rate has grown to 50 a
// second.
const rampItems = 2 * (1 + 2 + 5 + 10 + 20 + 50)

// byOperation replays as `grapnel dlq replay` does, at a rate that nothing reaches. What
// it does while its rate still grows is left out.
func (b *bench) byOperation(ctx context.Context, queue string, ids []string, events *batch) (float64, error) {
	letters := deadletter.New(b.client, b.Namespace, queue)
	_, err := letters.Begin(ctx, event.Operation{
		Action: event.ActionReplay, Filter: event.Filter{IDs: ids}, Rate: 10_000, Deed: event.Deed{Actor: "bench", Reason: "bench"},
	}, "")
	if err != nil {
		return 0, fmt.Errorf("begin an operation: %w", err)
	}
	if err := events.await(ctx); err != nil {
		return 0, err
	}
	at := events.handledAt()
	return float64(len(at)-rampItems) / (at[len(at)-1] - at[rampItems-1]).Seconds(), nil
}

// resets replays dead letters, so many at once as there are senders.
func (b *bench) resets(ctx context.Context, ids []string) error {
	var g errgroup.Group
	for chunk := range slices.Chunk(ids, (len(ids)+connections-1)/connections) {
		g.Go(func() error {
			for _, id := range chunk {
				if err := b.reset(ctx, id); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait() //nolint:wrapcheck // Ours.
}

func (b *bench) reset(ctx context.Context, id string) error {
	d, err := b.client.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return fmt.Errorf("look at dead letter %s: %w", id, err)
	}
	info := d.GetWorkflowExecutionInfo()
	if info.GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_FAILED {
		return fmt.Errorf("dead letter %s is %s", id, info.GetStatus())
	}
	task, err := b.firstTask(ctx, id, info.GetExecution().GetRunId())
	if err != nil {
		return err
	}
	_, err = b.client.ResetWorkflowExecution(ctx, &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: b.Namespace, Reason: "bench", RequestId: "replay-" + info.GetExecution().GetRunId(),
		WorkflowExecution:         &common.WorkflowExecution{WorkflowId: id, RunId: info.GetExecution().GetRunId()},
		WorkflowTaskFinishEventId: task,
	})
	if err != nil {
		return fmt.Errorf("replay dead letter %s: %w", id, err)
	}
	return nil
}

// firstTask gives the event at which the first workflow task of a run ended, as a
// reset of the type FirstWorkflowTask finds it.
func (b *bench) firstTask(ctx context.Context, id, run string) (int64, error) {
	history := b.client.GetWorkflowHistory(ctx, id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for history.HasNext() {
		e, err := history.Next()
		if err != nil {
			return 0, fmt.Errorf("read the history of dead letter %s: %w", id, err)
		}
		if e.GetEventType() == enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			return e.GetEventId(), nil
		}
	}
	return 0, fmt.Errorf("dead letter %s has ended no task", id)
}

// hang stops the embedded engine as a frozen machine would, sends events meanwhile, and lets it go
// on. A configured Temporal is never stopped.
func (b *bench) hang(ctx context.Context) error {
	if b.EnginePID == 0 {
		return nil
	}
	const every = 2 * time.Millisecond
	events := newBatch(max(b.Events, 500), b.Secret)
	run, err := b.Plant.Start(ctx, Setup{Queue: b.queue("hang"), Spool: true, Handle: events.handle})
	if err != nil {
		return err
	}
	defer run.Stop()
	if err := syscall.Kill(b.EnginePID, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop the engine: %w", err)
	}
	s, err := send(ctx, run.Addr, events, burstConnections, every)
	if cont := syscall.Kill(b.EnginePID, syscall.SIGCONT); cont != nil {
		return fmt.Errorf("let the engine go on: %w", cont)
	}
	if err != nil {
		return err
	}
	began := time.Now()
	if err := events.await(ctx); err != nil {
		return err
	}
	b.report.Hang = &Hang{Answers: newTimes(s.answers), Refused: s.refused, Recovered: time.Since(began)}
	return nil
}
