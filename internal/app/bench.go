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

// Plant runs receivers and workers for the bench, made of the same parts as those
// of up, starter and worker.
type Plant struct {
	world    World
	dir      string
	config   *config.Config
	secret   string // Of the one source.
	file     *os.File
	log      *zap.Logger
	settings engine.Settings
	// engine is nil where one was given, and stock the one beside it that runs as the
	// Temporal CLI runs it.
	engine, stock *engine.Embedded
}

// Plant makes the engine and all that receivers and workers of the bench share, in a directory of
// the caller.
func (w World) Plant(ctx context.Context, dir string) (*Plant, bench.Options, error) {
	o := bench.Options{Secret: rand.Text()}
	cfg, err := w.benchConfig(o.Secret, "")
	if err != nil {
		return nil, o, err
	}
	// Where up would write to a terminal: a line for each event is part of its cost.
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

// benchConfig is one source of events, and one destination where a URL is given.
func (w World) benchConfig(secret, deliver string) (*config.Config, error) {
	text := "sources: {zoom: {provider: zoom, secrets: [" + secret + "]}}\n"
	if deliver != "" {
		text += `destinations: {bench: {events: ["zoom/*"], allow_private: [127.0.0.1/32], http: {url: "` + deliver +
			`", secrets: [whsec_` + base64.StdEncoding.EncodeToString([]byte(secret)) + "]}}}\n"
	}
	return config.Parse("bench.yaml", []byte(text), w.Lookup)
}

// Close ends the engine that the plant has started, and its log.
func (p *Plant) Close() error {
	var err error
	if p.engine != nil {
		err = errors.Join(p.engine.Kill(), p.stock.Kill()) // Nothing of them is kept.
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
		if err = door.openSpool(Parts{Receiver: true}); err != nil {
			return nil, err
		}
	}
	receiver, addr, err := door.benchReceiver(ctx, s)
	if err != nil {
		return nil, err
	}
	parts := receiver
	if !s.Idle {
		work, err := shop.benchWorker(s)
		if err != nil {
			return nil, err
		}
		parts = append(parts, work)
	}
	return &bench.Running{Addr: addr, Stop: door.operate(ctx, parts, shop)}, nil
}

// operate runs the parts; stop ends them and closes what the two processes, or the one, have
// opened.
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
			_ = os.RemoveAll(p.env.DataDir) // All of the bench's directory goes later.
		}
	})
}

// process makes what a process of the bench is made of, with a client of its own.
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

// benchReceiver makes the receiver and, with a spool, its drain.
func (p *process) benchReceiver(ctx context.Context, s bench.Setup) (parts []part, addr string, err error) {
	if s.Idle {
		p.client = instantTemporal{p.client}
	}
	h, door, a, err := p.receiver(ctx)
	if err != nil {
		return nil, "", err
	}
	return []part{h, {name: "drain of the spool", run: door.Drain}}, a.String(), nil
}

// benchWorker makes the worker, whose one handler is the bench's, where it does not
// deliver.
func (p *process) benchWorker(s bench.Setup) (part, error) {
	a, err := p.activities()
	if err != nil {
		return part{}, err
	}
	if s.Handle == nil {
		return p.workerPart(a), nil // WithHandlers would forget the destination.
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

// instantTemporal is a Temporal that takes everything at once.
type instantTemporal struct{ client.Client }

var _ starter.Temporal = instantTemporal{}

// ExecuteWorkflow starts nothing.
func (instantTemporal) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return nil, nil //nolint:nilnil // The receiver does not look at it.
}

// DescribeWorkflowExecution knows of nothing.
func (instantTemporal) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return nil, errors.New("the bench sends no repeats")
}
