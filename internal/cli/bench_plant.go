package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/bench"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/starter"
)

// plant runs receivers and workers for the bench, made of the same parts as those
// of up, starter and worker.
type plant struct {
	program  Program
	dir      string
	config   *config.Config
	file     *os.File
	log      *zap.Logger
	settings engine.Settings
	// engine is nil where one was given.
	engine *engine.Embedded
}

func (p *plant) close() error {
	var err error
	if p.engine != nil {
		err = p.engine.Kill() // Nothing of it is kept.
	}
	return errors.Join(err, p.file.Close())
}

// Client implements bench.Plant.
func (p *plant) Client(o ...grpc.DialOption) (client.Client, error) {
	return engine.Dial(p.settings, engine.DialOptions{GRPC: o})
}

// Start implements bench.Plant.
func (p *plant) Start(ctx context.Context, s bench.Setup) (*bench.Running, error) {
	door, err := p.process(s)
	if err != nil {
		return nil, err
	}
	shop := door
	if s.Split {
		if shop, err = p.process(s); err != nil {
			return nil, err
		}
	}
	if s.Spool {
		if door.env.DataDir, err = os.MkdirTemp(p.dir, "data-"); err != nil {
			return nil, fmt.Errorf("make a directory for the spool: %w", err)
		}
		if door.spool, err = door.openSpool(); err != nil {
			return nil, err
		}
	}
	receiver, addr, err := door.benchReceiver(ctx, s)
	if err != nil {
		return nil, err
	}
	halves := receiver
	if !s.Idle {
		work, err := shop.benchWorker(s)
		if err != nil {
			return nil, err
		}
		halves = append(halves, work)
	}
	return &bench.Running{Addr: addr, Stop: door.operate(ctx, halves, shop)}, nil
}

// operate runs the parts; stop ends them and all they hold.
func (p *process) operate(ctx context.Context, halves []half, other *process) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.serve(ctx, halves...); err != nil {
			p.log.Error("a part ended", zap.Error(err))
		}
	}()
	return sync.OnceFunc(func() {
		cancel()
		<-done
		p.closeSpool()
		if p.env.DataDir != "" {
			_ = os.RemoveAll(p.env.DataDir) // All of the bench's directory goes later.
		}
		for _, one := range []*process{p, other} {
			one.client.Close()
			_ = one.observer.close(context.WithoutCancel(ctx))
		}
	})
}

// process makes what a process of the bench is made of, with a client of its own.
func (p *plant) process(s bench.Setup) (*process, error) {
	o, err := newObserver(p.config, p.log)
	if err != nil {
		return nil, err
	}
	var wire []grpc.DialOption
	if s.Calls != nil {
		wire = append(wire, s.Calls.Option())
	}
	c, err := engine.Dial(p.settings, engine.DialOptions{
		Logger: telemetry.NewSlog(p.log), Metrics: o.metrics.SDK(), GRPC: wire,
		CompressFrom: int(p.config.CompressFrom),
	})
	return &process{
		env:    config.Env{Listen: "127.0.0.1:0", TaskQueue: s.Queue},
		config: p.config, log: p.log, observer: o, settings: p.settings, client: c, program: p.program,
	}, err
}

// benchReceiver makes the receiver and, with a spool, its drain.
func (p *process) benchReceiver(ctx context.Context, s bench.Setup) (halves []half, addr string, err error) {
	if s.Idle {
		p.client = nothing{p.client}
	}
	h, door, a, err := p.receiver(ctx)
	if err != nil {
		return nil, "", err
	}
	return []half{h, {name: "drain of the spool", run: door.Drain}}, a.String(), nil
}

// benchWorker makes the worker, whose one handler is the bench's.
func (p *process) benchWorker(s bench.Setup) (half, error) {
	a, err := p.activities()
	if err != nil {
		return half{}, err
	}
	table := &handler.Table{}
	handler.On(table, "zoom", "*", func(_ context.Context, e handler.Event[[]byte]) error {
		if err := s.Handle(e.Payload); err != nil {
			return handler.Permanent(err)
		}
		return nil
	}, handler.Name("zoom/bench"))
	return p.workerHalf(a.WithHandlers(table)), nil
}

// nothing is a Temporal that takes everything at once.
type nothing struct{ client.Client }

var _ starter.Temporal = nothing{}

// ExecuteWorkflow starts nothing.
func (nothing) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return nil, nil //nolint:nilnil // The receiver does not look at it.
}

// DescribeWorkflowExecution knows of nothing.
func (nothing) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return nil, errors.New("the bench sends no repeats")
}
