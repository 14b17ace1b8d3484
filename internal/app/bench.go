package app

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/bench"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/telemetry"
	"github.com/grapnel/grapnel/starter"
)

// Plant runs receivers and workers for the bench. They are made of the same parts as those of up,
// starter and worker.
type Plant struct {
	world    World
	dir      string
	config   *config.Config
	secret   string // The secret of the one source.
	file     *os.File
	log      *zap.Logger
	settings engine.Settings
	// engine is the embedded engine, and stock a second one that runs as the Temporal CLI runs it.
	// Both are nil if a Temporal is configured.
	engine, stock *engine.Embedded
}

// Plant starts the engines and makes all that the receivers and workers of the bench share, in the
// directory dir.
func (w World) Plant(ctx context.Context, dir string) (*Plant, bench.Options, error) {
	o := bench.Options{Secret: rand.Text()}
	cfg, err := w.benchConfig(o.Secret, "")
	if err != nil {
		return nil, o, err
	}
	// up would write its log to a terminal. A line for each event is part of an event's cost.
	file, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, o, fmt.Errorf("make a log: %w", err)
	}
	pl := &Plant{world: w, dir: dir, config: cfg, secret: o.Secret, file: file}
	if pl.log, err = telemetry.NewLogger("info", telemetry.FormatConsole, file); err != nil {
		return nil, o, err
	}
	if pl.settings, err = engine.Resolve(w.Environ); err != nil {
		return nil, o, err
	}
	if !pl.settings.Configured() {
		e, err := engine.Start(ctx, engine.EmbeddedOptions{
			DataDir: filepath.Join(dir, "engine"), AnyPorts: true, Environ: w.Environ,
		})
		if err != nil {
			return nil, o, err
		}
		pl.engine, pl.settings = e, e.Settings()
		pl.stock, err = engine.Start(ctx, engine.EmbeddedOptions{
			DataDir: filepath.Join(dir, "stock"), AnyPorts: true, Environ: w.Environ, Stock: true,
		})
		if err != nil {
			return nil, o, errors.Join(err, e.Kill()) //nolint:contextcheck // It ends at once.
		}
		o.StockPID = pl.stock.PID
		o.EnginePID, o.EngineDir = e.PID, filepath.Join(dir, "engine")
	}
	o.Namespace = pl.settings.Namespace
	return pl, o, nil
}

// benchConfig makes a configuration of one source and, if deliver is a URL, of one destination.
func (w World) benchConfig(secret, deliver string) (*config.Config, error) {
	text := "sources: {zoom: {provider: zoom, secrets: [" + secret + "]}}\n"
	if deliver != "" {
		text += `destinations: {bench: {events: ["zoom/*"], allow_private: [127.0.0.1/32], http: {url: "` + deliver +
			`", secrets: [whsec_` + base64.StdEncoding.EncodeToString([]byte(secret)) + "]}}}\n"
	}
	return config.Parse("bench.yaml", []byte(text), w.Lookup)
}

// Close ends the engines that the plant has started, and closes its log.
func (p *Plant) Close() error {
	var err error
	if p.engine != nil {
		err = errors.Join(p.engine.Kill(), p.stock.Kill()) // Their data is not kept, so they need not stop in order.
	}
	return errors.Join(err, p.file.Close())
}

// Client implements bench.Plant.
func (p *Plant) Client(o ...grpc.DialOption) (client.Client, error) {
	return engine.Dial(p.settings, engine.DialOptions{GRPC: o})
}

// Stock implements bench.Plant.
func (p *Plant) Stock(o ...grpc.DialOption) (client.Client, error) {
	if p.stock == nil {
		return p.Client(o...)
	}
	return engine.Dial(p.stock.Settings(), engine.DialOptions{GRPC: o})
}

// Start implements bench.Plant.
func (p *Plant) Start(ctx context.Context, s bench.Setup) (*bench.Running, error) {
	receiving, err := p.process(s)
	if err != nil {
		return nil, err
	}
	handling := receiving
	if s.Split {
		if handling, err = p.process(s); err != nil {
			return nil, err
		}
	}
	if s.Spool {
		if receiving.env.DataDir, err = os.MkdirTemp(p.dir, "data-"); err != nil {
			return nil, fmt.Errorf("make a directory for the spool: %w", err)
		}
		if err = receiving.openSpool(Parts{Receiver: true}); err != nil {
			return nil, err
		}
	}
	receiver, addr, err := receiving.benchReceiver(ctx, s)
	if err != nil {
		return nil, err
	}
	parts := receiver
	if !s.Idle {
		work, err := handling.benchWorker(s)
		if err != nil {
			return nil, err
		}
		parts = append(parts, work)
	}
	return &bench.Running{Addr: addr, Stop: receiving.operate(ctx, parts, handling)}, nil
}

// operate runs the parts. stop ends them and closes what p and other have opened; both may be the
// same process.
func (p *process) operate(ctx context.Context, parts []part, other *process) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.serve(ctx, parts...); err != nil {
			p.log.Error("a part ended", zap.Error(err))
		}
	}()
	return sync.OnceFunc(func() {
		cancel()
		<-done
		p.close(context.WithoutCancel(ctx))
		other.close(context.WithoutCancel(ctx))
		if p.env.DataDir != "" {
			_ = os.RemoveAll(p.env.DataDir) // On an error it goes later with the bench's directory.
		}
	})
}

// process makes a process of the bench, with a client of its own.
func (p *Plant) process(s bench.Setup) (*process, error) {
	cfg := p.config
	if s.Deliver != "" {
		var err error
		if cfg, err = p.world.benchConfig(p.secret, s.Deliver); err != nil {
			return nil, err
		}
	}
	o, err := newObserver(cfg, p.log)
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
	if err != nil {
		return nil, err
	}
	made := &process{
		env:    config.Env{Listen: "127.0.0.1:0", TaskQueue: s.Queue},
		config: cfg, log: p.log, observer: o, settings: p.settings, client: c, world: p.world,
		destinations: destination.NewSet(destination.Deps{}),
	}
	made.whenClosed(func(ctx context.Context) { _ = o.close(ctx) })
	made.whenClosed(func(context.Context) { c.Close() })
	return made, nil
}

// benchReceiver makes the receiver and the drain of its spool.
func (p *process) benchReceiver(ctx context.Context, s bench.Setup) (parts []part, addr string, err error) {
	if s.Idle {
		p.client = instantTemporal{p.client}
	}
	receiver, st, a, err := p.receiver(ctx)
	if err != nil {
		return nil, "", err
	}
	return []part{receiver, {name: "drain of the spool", run: st.Drain}}, a.String(), nil
}

// benchWorker makes the worker. It has the bench's handler, or if there is none, the destination of
// the configuration.
func (p *process) benchWorker(s bench.Setup) (part, error) {
	a, err := p.activities()
	if err != nil {
		return part{}, err
	}
	if s.Handle == nil {
		return p.workerPart(a), nil // WithHandlers would drop the destination.
	}
	table := &handler.Table{}
	handler.On(table, "zoom", "*", func(_ context.Context, e handler.Event[[]byte]) error {
		if err := s.Handle(e.Payload); err != nil {
			return handler.Permanent(err)
		}
		return nil
	}, handler.Name("zoom/bench"))
	return p.workerPart(a.WithHandlers(table)), nil
}

// instantTemporal is a Temporal client that accepts every start at once and does nothing.
type instantTemporal struct{ client.Client }

var _ starter.Temporal = instantTemporal{}

// ExecuteWorkflow starts nothing.
func (instantTemporal) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return nil, nil //nolint:nilnil // The receiver does not use the run.
}

// DescribeWorkflowExecution fails: the bench sends no repeats, so the receiver does not call it.
func (instantTemporal) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return nil, errors.New("the bench sends no repeats")
}
