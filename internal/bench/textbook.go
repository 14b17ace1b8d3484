package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

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

// starts starts one workflow for each event of the batch, so many at once.
func starts(ctx context.Context, c client.Client, b *batch, o client.StartWorkflowOptions, typ string) (*sending, error) {
	var next atomic.Int64
	var result sending
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
				if err := insist(ctx, c, mine, typ, b.requests[i].body); err != nil {
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

// patience is how long a start is tried again that the engine refuses.
const patience = 30 * time.Second

// insist starts a workflow as a sender would, again and again: an engine with too
// much to do refuses now and then, and what that costs counts.
func insist(ctx context.Context, c client.Client, o client.StartWorkflowOptions, typ string, body []byte) error {
	for end := time.Now().Add(patience); ; {
		_, err := c.ExecuteWorkflow(ctx, o, typ, rawBody(body))
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

// rawBody is a body as an argument that is not encoded again.
func rawBody(body []byte) converter.RawValue {
	return converter.NewRawValue(&common.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(converter.MetadataEncodingJSON)}, Data: body,
	})
}
