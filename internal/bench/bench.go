// Package bench measures what an event costs, as ratios of measurements of one run, so that the
// machine's own speed and noise cancel out. It knows neither receiver nor worker: a Plant runs
// them.
package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
)

// Plant runs what is measured.
type Plant interface {
	// Client makes a client of Temporal; the caller closes it.
	Client(o ...grpc.DialOption) (client.Client, error)
	// Stock makes a client of the Temporal on which bare starts and the textbook design are
	// measured: a second embedded engine that runs as the Temporal CLI runs it, or the
	// configured Temporal.
	Stock(o ...grpc.DialOption) (client.Client, error)
	// Start runs receiver and worker as Setup says.
	Start(ctx context.Context, s Setup) (*Running, error)
}

// Setup says how receiver and worker run.
type Setup struct {
	// Queue is their task queue.
	Queue string
	// Split gives receiver and worker a client each, as two processes have.
	Split bool
	// Spool gives the receiver a disk queue in a new directory, and drains it.
	Spool bool
	// Idle leaves Temporal out: each start succeeds at once, and no worker runs.
	Idle bool
	// Handle is the handler of all events; nil where they are delivered.
	Handle func(body []byte) error
	// Deliver is the URL of an HTTP destination that takes all events; empty for none.
	Deliver string
	// Calls counts the calls of Temporal.
	Calls *Calls
}

// Running is a receiver, and perhaps a worker, that run.
type Running struct {
	// Addr is host:port of the receiver.
	Addr string
	// Stop ends them.
	Stop func()
}

// Options say what to measure.
type Options struct {
	Plant Plant
	// Namespace is the one that Plant's clients use.
	Namespace string
	// Secret is what the zoom source of Plant's receiver verifies by.
	Secret string
	// Rounds is how often each rate is measured, in turn with the others.
	Rounds int
	// Events is the number of events of a round.
	Events int
	// Only names the measurements to make; none means all. See Names.
	Only []string
	// EnginePID is the process of the embedded engine; zero if another Temporal is configured.
	EnginePID int
	// StockPID is the process of the stock engine beside it; zero without one.
	StockPID int
	// EngineDir holds the database of the embedded engine; empty without one.
	EngineDir string
	// Progress hears what is being measured.
	Progress io.Writer
}

// bench is one run.
type bench struct {
	Options
	client client.Client
	stock  client.Client
	report *Report
	serial int
	// syncs count the syncs of the embedded engines, by process.
	syncs map[int]*syncCounter
}

// Run measures everything. It takes a minute or two with the usual options.
func Run(ctx context.Context, o Options) (*Report, error) {
	c, err := o.Plant.Client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stock, err := o.Plant.Stock()
	if err != nil {
		return nil, err
	}
	defer stock.Close()
	b := &bench{Options: o, client: c, stock: stock, report: newReport(o)}
	b.syncs = map[int]*syncCounter{o.EnginePID: countSyncs(o.EnginePID), o.StockPID: countSyncs(o.StockPID)}
	defer func() {
		for _, s := range b.syncs {
			s.close()
		}
	}()
	machine := newMachine(o)
	if err := b.describeEngine(ctx); err != nil {
		return nil, err
	}
	for _, m := range measurements() {
		if len(o.Only) > 0 && !slices.Contains(o.Only, m.name) {
			continue
		}
		b.say("%s: %s", m.name, m.about)
		if err := m.run(b, ctx); err != nil {
			return nil, fmt.Errorf("measure %s: %w", m.name, err)
		}
	}
	b.report.Others = machine.others()
	b.report.EngineRSS, _ = memory(o.EnginePID)
	b.report.RSS, b.report.ProgramRSS = memory(os.Getpid())
	b.clean(ctx)
	return b.report, nil
}

// measurement is one part of a run.
type measurement struct {
	name, about string
	run         func(*bench, context.Context) error
}

func measurements() []measurement {
	return []measurement{
		{"rates", "what is handled, in alternating rounds", (*bench).rates},
		{"latency", "from the socket to the handler at 50 events/s", (*bench).latency},
		{"bursts", "what the door accepts at once, in alternating rounds", (*bench).bursts},
		{"replay", "dead letters replayed", (*bench).replays},
		{"receiver", "a request with Temporal left out", (*bench).receiver},
		{"hang", "an engine that hangs", (*bench).hang},
		{"bytes", "what an event leaves on disk", (*bench).bytes},
	}
}

// Names are the measurements there are.
func Names() []string {
	var names []string
	for _, m := range measurements() {
		names = append(names, m.name)
	}
	return names
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.Progress, format+"\n", args...)
}

// queue names a task queue that no other measurement uses.
func (b *bench) queue(name string) string {
	b.serial++
	return fmt.Sprintf("grapnel-bench-%s-%d-%d", name, time.Now().UnixNano(), b.serial)
}
